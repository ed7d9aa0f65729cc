-- For wrk. With the arguments EVENT FIRST every request checks in a ticket of its own, counted up from
-- the ten-digit number FIRST; without, wrk sends what its command line says. The last line of output is
-- "REQUESTS MICROSECONDS FAILURES P99", the last in milliseconds.

function init(args)
  if not args[1] then
    return
  end
  local placeholder = "0000000000"
  wrk.method = "POST"
  wrk.body = '{"event_id":"' .. args[1] .. '","ticket_id":"' .. placeholder .. '"}'
  -- Cut once and only joined for each request, for what wrk.format() costs would be missing in the load.
  local whole = wrk.format()
  local from, to = whole:find(placeholder, 1, true)
  local head, tail = whole:sub(1, from - 1), whole:sub(to + 1)
  local ticket = tonumber(args[2])
  function request()
    ticket = ticket + 1
    return head .. ticket .. tail
  end
end

function done(summary, latency)
  -- No response(), which would be called for every answer: wrk itself counts each status from 400 up.
  local failed = summary.errors
  local failures = failed.status + failed.connect + failed.read + failed.write + failed.timeout
  io.write(string.format("%d %d %d %.2f\n", summary.requests, summary.duration, failures, latency:percentile(99) / 1000))
end
