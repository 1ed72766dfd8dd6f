-- One genuine push over and over, with the headers the service sends and a delivery id of its own
-- each time. Only the id changes, so that the client costs little of what both servers are measured on.
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

local before, after, last
local count = 0

-- Arguments: the body's file, its signature, four random hexadecimal digits for this run.
function init(args)
  local file = assert(io.open(args[1], "rb"))
  local body = file:read("*a")
  file:close()
  local whole = wrk.format("POST", nil, {
    ["Accept"] = "*/*",
    ["Content-Type"] = "application/json",
    ["User-Agent"] = "GitHub-Hookshot/044aadd",
    ["X-GitHub-Delivery"] = "@",
    ["X-GitHub-Event"] = "push",
    ["X-GitHub-Hook-ID"] = "292430182",
    ["X-GitHub-Hook-Installation-Target-ID"] = "79929171",
    ["X-GitHub-Hook-Installation-Target-Type"] = "repository",
    ["X-Hub-Signature-256"] = args[2],
  }, body)
  local at = assert(whole:find("Delivery: @", 1, true)) + #"Delivery: "
  before, after = whole:sub(1, at - 1), whole:sub(at + 1)
  last = string.format("-%s-11f0-8%03x-a0369f44f0e1", args[3], number)
end

-- A UUID of version 1, whose first digits are the time.
function request()
  count = count + 1
  return before .. string.format("%08x", count) .. last .. after
end

-- Requests a second, median and 99th percentile in ms, exchanges that failed or were not answered 2xx.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %.0f %.2f %.2f %d\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
