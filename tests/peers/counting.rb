# frozen_string_literal: true

# A worker of GitLab's prometheus-client-mmap that counts what it is told, line by line.
#
#   prometheus_multiproc_dir=DIR ruby counting.rb
#
# `work N` counts N jobs; the answer to each line is `= done`.

require 'logger'
require 'prometheus/client'
require 'prometheus/client/counter'
require 'prometheus/client/gauge'
require 'prometheus/client/histogram'

Prometheus::Client.configure do |config|
  config.logger = Logger.new($stderr)
  config.multiprocess_files_dir = ENV.fetch('prometheus_multiproc_dir')
end

jobs = Prometheus::Client::Counter.new(:jobs_total, 'Jobs done.')
seconds = Prometheus::Client::Histogram.new(:seconds, 'Seconds taken.', {}, [0.1, 1, 10])
level = Prometheus::Client::Gauge.new(:level, 'The last number of jobs.', {}, :max)

$stdin.each_line do |line|
  verb, times = line.split
  abort line unless verb == 'work'
  Integer(times).times do
    jobs.increment
    seconds.observe({}, 0.5)
  end
  level.set({}, Integer(times))
  $stdout.puts '= done'
  $stdout.flush
end
