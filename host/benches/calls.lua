-- One call of a runnable over and over. Arguments: the token, and how long a connection pauses
-- between two calls, in ms (0: not at all, which measures a host that is as busy as it can be).
local pause = 0

function init(args)
  wrk.method = "POST"
  wrk.body = '{"n":1}'
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer " .. args[1]
  pause = tonumber(args[2])
  -- Connections that begin together would go on together.
  math.randomseed(os.time())
end

function delay()
  return pause == 0 and 0 or math.random(0, 2 * pause)
end

-- Calls a second, median and 99th percentile in ms, exchanges that failed or were not answered 2xx.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %.0f %.2f %.2f %d\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
