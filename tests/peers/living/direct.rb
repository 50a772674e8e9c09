# frozen_string_literal: true

# A worker with a DirectFileStore, of the release 3.0, that does what it is told, line by line.
#
#   ruby direct.rb DIR
#
# `gauge livesum N` sets the gauge, `work N` counts N jobs; the answer to each line is `= done`. As
# the class of the Ruby client, it keeps the descriptor of each file.

require_relative '../dialects/direct_file_store'

worker = Worker.new(ARGV.fetch(0), '3.0', Process.pid, 1.0)
jobs = Sheet.new(worker, 'jobs_total')
level = Sheet.new(worker, 'level_livesum')

$stdin.each_line do |line|
  verb, *objects = line.split
  case verb
  when 'gauge' then level.set({}, Float(objects[1]))
  when 'work' then jobs.add({}, Integer(objects[0]))
  when 'open' then nil
  else abort line
  end
  $stdout.puts '= done'
  $stdout.flush
end
