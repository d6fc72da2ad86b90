-- Without arguments wrk asks the one thing that its command line names. With a file of lines it
-- asks for one of them at random: GET takes them as paths; POST as bodies, each sent with an
-- Idempotency-Key that begins with the third argument and was never used before.

local sent = 0

function init(args)
   if #args == 0 then
      return
   end
   local lines = {}
   for line in io.lines(args[1]) do
      lines[#lines + 1] = args[2] == "GET" and wrk.format("GET", line) or line
   end
   math.randomseed(1)
   request = function()
      local line = lines[math.random(#lines)]
      if args[2] == "GET" then
         return line
      end
      sent = sent + 1
      wrk.headers["Idempotency-Key"] = args[3] .. sent
      return wrk.format("POST", nil, wrk.headers, line)
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   print(string.format(
      '{"requests": %d, "seconds": %f, "p99_ms": %f, "errors": %d}',
      summary.requests, summary.duration / 1e6, latency:percentile(99) / 1e3,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout
   ))
end
