# frozen_string_literal: true

# Two workers and a successor write all that GitLab's prometheus-client-mmap can write.
#
#   ruby gitlab.rb write OUTDIR
#   ruby gitlab.rb read DIR      prints what the gem's own multiprocess reader makes of DIR
#
# Processes are told apart by the gem's pid_provider, which is set to fixed names; it uses no clock.
# The second worker lives on while its successor starts under the same name, as in a phased
# restart, so the successor's files end in -1.

require 'logger'
require 'prometheus/client'
require 'prometheus/client/counter'
require 'prometheus/client/formats/text'
require 'prometheus/client/gauge'
require 'prometheus/client/histogram'
require 'prometheus/client/summary'

MODES = %i[all liveall min max livesum].freeze
ODD = "caf\u00e9 \u4f60 \u{1F600} \"quoted\" back\\slash\nline\ttab \u0001 a/b"

# Label values that are not strings, which the gem takes too.
KINDS = {
  text: 'x', whole: 8080, ratio: 1.5, yes: true, no: false, none: nil, symbol: :web, empty: ''
}.freeze

def fill_counters(worker)
  jobs = Prometheus::Client::Counter.new(:jobs_total, 'Jobs done, by queue.')
  jobs.increment({ queue: 'mail', code: '200' }, 3 + worker)
  jobs.increment({ queue: ODD, code: '' }, 0.5)
  jobs.increment({ queue: 'late', code: '500' }, 1e15) if worker == 1
  Prometheus::Client::Counter.new(:events, 'Things that happen.').increment({}, 2.5)
  kinds = Prometheus::Client::Counter.new(:kinds_total, 'Label values of every kind.')
  kinds.increment(KINDS, worker + 1)
end

def fill_gauges(worker)
  MODES.each do |mode|
    level = Prometheus::Client::Gauge.new(:"level_#{mode}", 'A level.', {}, mode)
    level.set({}, [-1.5, 4.25, 3][worker])
    zones = Prometheus::Client::Gauge.new(:"zone_level_#{mode}", 'A level of a zone.', {}, mode)
    zones.set({ zone: 'a' }, [7, 6, 5][worker])
    zones.set({ zone: 'b' }, 2) if worker == 1
    # Read and never set.
    Prometheus::Client::Gauge.new(:"idle_level_#{mode}", 'Never set.', {}, mode).get({})
  end
end

def fill_distributions(worker)
  took = Prometheus::Client::Histogram.new(:took_seconds, 'Seconds taken.', {},
                                           [1e-05, 0.5, 1, 1_000_000.0])
  values = [[1e-06, 0.5, 0.75, 3], [2e6, 3, 4], [0.25]][worker]
  values.each { |value| took.observe({ route: '/' }, value) }
  took.observe({ route: ODD }, 0.25)
  size = Prometheus::Client::Histogram.new(:size_bytes, 'Bytes.', {}, [1, 2.5, 10])
  [[0, 2, 2.5], [7, 100], [10]][worker].each { |value| size.observe({}, value) }

  parse = Prometheus::Client::Summary.new(:parse_seconds, 'Seconds of parsing.')
  parse.observe({ kind: 'json' }, 0.5 + worker)
  parse.observe({ kind: 'json' }, 0.25)
  Prometheus::Client::Summary.new(:wait_seconds, 'Seconds of waiting.').observe({}, 2 + worker)
end

# Runs a worker in a process of its own, which keeps its files open until the block has run.
def worker(directory, number, name)
  ready, written = IO.pipe
  done, finish = IO.pipe
  pid = fork do
    finish.close
    Prometheus::Client.configure do |config|
      config.logger = Logger.new($stderr)
      config.multiprocess_files_dir = directory
      config.pid_provider = -> { name }
    end
    fill_counters(number)
    fill_gauges(number)
    fill_distributions(number)
    written.close
    done.read
    exit!(0)
  end
  written.close
  ready.read
  yield
  finish.close
  Process.wait(pid)
  abort "worker #{number} failed" unless $?.success?
end

case ARGV
in ['write', directory]
  worker(directory, 0, 'worker_id_0') {}
  worker(directory, 1, 'puma_1') { worker(directory, 2, 'puma_1') {} }
in ['read', directory]
  Prometheus::Client.configuration.logger = Logger.new($stderr)
  $stdout.binmode.write(Prometheus::Client::Formats::Text.marshal_multiprocess(directory))
end
