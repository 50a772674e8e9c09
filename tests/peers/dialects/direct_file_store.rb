# frozen_string_literal: true

# Two workers write what the DirectFileStore of the Ruby client (prometheus-client) writes.
#
#   ruby direct_file_store.rb OUTDIR 0.10|3.0
#
# The gem cannot be had where the vectors are made, so this is a writer of our own, made after the
# format as it was observed:
#
#   file   metric_NAME___PID.bin, 1 MiB; int32 bytes in use, 4 zero bytes, entries
#   entry  int32 length of the padded key; the key and 1 to 8 spaces, so that what follows is
#          aligned to 8; a double; since 2.1 a second double, the monotonic clock of the write
#   key    NAME=VALUE joined by &, both escaped as in a query; aggregation :all adds the label pid
#
# Two releases stand for the others. 0.10 has no times, keeps labels in the order in which they were
# given, makes a series when it is first touched, and counts a value that equals a bound into the
# next bucket. 3.0 has times, sorts labels, makes each series of a metric without labels at once,
# and a bound includes its own value.

require 'cgi'

ODD = "caf\u00e9 \u4f60 \u{1F600} \"quoted\" back\\slash\nline\ttab \u0001 a/b 1+1~*.-_=&%"
BOUNDS = [1e-05, 0.5, 1, 1_000_000.0].freeze
SIZES = [1, 2.5, 10].freeze

# What differs between the two releases, and the worker that writes.
class Worker
  attr_reader :pid, :timed

  def initialize(directory, release, pid, clock)
    @directory = directory
    @timed = release == '3.0'
    @pid = pid
    @clock = clock
  end

  def path(name)
    File.join(@directory, "metric_#{name}___#{@pid}.bin")
  end

  # Eighths of a second are exact.
  def tick
    @clock += 0.125
  end
end

# The file of one metric of one worker.
class Sheet
  SIZE = 1 << 20

  def initialize(worker, name, with_pid: false)
    @worker = worker
    @with_pid = with_pid
    @file = File.open(worker.path(name), 'w+b')
    @file.truncate(SIZE)
    @used = 8
    @places = {}
    put(0, [@used].pack('l<'))
  end

  def add(labels, amount)
    place = place_of(labels)
    @file.seek(place)
    store(place, @file.read(8).unpack1('E') + amount)
  end

  def set(labels, value)
    store(place_of(labels), value)
  end

  private

  def store(place, value)
    put(place, @worker.timed ? [value, @worker.tick].pack('EE') : [value].pack('E'))
  end

  def place_of(labels)
    key = key(labels)
    @places[key] ||= begin
      padded = key + ' ' * (8 - (key.bytesize + 4) % 8)
      start = @used + 4 + padded.bytesize
      # A new file is zero beyond what is in use, and so are a new value and its time.
      put(@used, [padded.bytesize].pack('l<') + padded)
      @used = start + (@worker.timed ? 16 : 8)
      put(0, [@used].pack('l<'))
      start
    end
  end

  def key(labels)
    labels = labels.merge(pid: @worker.pid) if @with_pid
    pairs = @worker.timed ? labels.sort : labels.to_a
    pairs.map { |name, value| "#{CGI.escape(name.to_s)}=#{CGI.escape(value.to_s)}" }.join('&')
  end

  def put(offset, bytes)
    @file.seek(offset)
    @file.write(bytes)
    @file.flush
  end
end

def observe(worker, sheet, bounds, labels, value)
  bound = bounds.find { |limit| worker.timed ? value <= limit : value < limit }
  sheet.add(labels.merge(le: (bound || '+Inf').to_s), 1)
  sheet.add(labels.merge(le: 'sum'), value)
end

def summarise(sheet, labels, value)
  sheet.add(labels.merge(quantile: 'count'), 1)
  sheet.add(labels.merge(quantile: 'sum'), value)
end

def fill(worker, number)
  jobs = Sheet.new(worker, 'jobs_total')
  jobs.add({ queue: 'mail', code: '200' }, 3 + number)
  jobs.add({ queue: ODD, code: '' }, 0.5)
  jobs.add({ queue: 'late', code: '500' }, 1e15) if number == 1
  events = Sheet.new(worker, 'events')
  events.set({}, 0) if worker.timed
  events.add({}, 2.5)

  took = Sheet.new(worker, 'took_seconds')
  values = [[1e-06, 0.25, 0.75, 3], [2e6, 3, 1e-06]][number]
  ['/', ODD].each do |route|
    values.each { |value| observe(worker, took, BOUNDS, { route: route }, value) }
  end
  size = Sheet.new(worker, 'size_bytes')
  (SIZES + %w[+Inf sum]).each { |le| size.set({ le: le }, 0) } if worker.timed
  [[0, 2, 2.5, 7], [10, 100]][number].each { |value| observe(worker, size, SIZES, {}, value) }

  parse = Sheet.new(worker, 'parse_seconds')
  summarise(parse, { kind: 'json' }, 0.5 + number)
  summarise(parse, { kind: 'json' }, 0.25)
  wait = Sheet.new(worker, 'wait_seconds')
  %w[count sum].each { |part| wait.set({ quantile: part }, 0) } if worker.timed
  summarise(wait, {}, 2 + number)

  # The name says how the gauge is declared; nothing in the file does.
  modes = %w[all sum max min]
  modes << 'most_recent' if worker.timed
  modes.each do |mode|
    level = Sheet.new(worker, "level_#{mode}", with_pid: mode == 'all')
    level.set({}, 0) if worker.timed
    level.set({}, [-1.5, 4.25][number])
    zones = Sheet.new(worker, "zone_level_#{mode}", with_pid: mode == 'all')
    zones.set({ zone: 'a' }, [7, 6][number])
    zones.set({ zone: 'b' }, 2) if number == 1
  end
end

# Also taken for its classes, by a worker that lives on.
if $PROGRAM_NAME == __FILE__
  directory, release = ARGV
  abort 'usage: direct_file_store.rb OUTDIR 0.10|3.0' unless %w[0.10 3.0].include?(release)
  # The first worker's clock is ahead, so that the order of the files is not that of the times.
  fill(Worker.new(directory, release, 301, 9000.0), 0)
  fill(Worker.new(directory, release, 302, 5000.0), 1)
end
