# frozen_string_literal: true

# A worker of GitLab's prometheus-client-mmap that does what it is told, line by line.
#
#   prometheus_multiproc_dir=DIR ruby gitlab.rb [IDENTIFIER]
#
# `gauge livesum N` sets the gauge, `work N` counts N jobs; the answer to each line is `= done`.
# IDENTIFIER takes the place of the pid.

require 'logger'
require 'prometheus/client'
require 'prometheus/client/counter'
require 'prometheus/client/gauge'

Prometheus::Client.configure do |config|
  config.logger = Logger.new($stderr)
  config.multiprocess_files_dir = ENV.fetch('prometheus_multiproc_dir')
  identifier = ARGV.first
  config.pid_provider = -> { identifier } if identifier
end

jobs = Prometheus::Client::Counter.new(:jobs_total, 'Jobs done.')
level = Prometheus::Client::Gauge.new(:level_livesum, 'A level.', {}, :livesum)

$stdin.each_line do |line|
  verb, *objects = line.split
  case verb
  when 'gauge' then level.set({}, Float(objects[1]))
  when 'work' then jobs.increment({}, Integer(objects[0]))
  when 'open' then nil
  else abort line
  end
  $stdout.puts '= done'
  $stdout.flush
end
