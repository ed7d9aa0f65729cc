-- For wrk. With the arguments EVENT FIRST every request checks in a ticket of its own, counted up from
-- the ten-digit number FIRST. With FIRST SIZE EVENT... too, but each event gets SIZE of the tickets, one event
-- after the other. With batch EVENT FIRST SIZE every request is a batch of SIZE such scans. Without arguments wrk
-- sends what its command line says. The last line of output is "REQUESTS MICROSECONDS FAILURES P99", the last in
-- milliseconds.

local placeholder = "0000000000"

-- Cut once and only joined for each request, for what wrk.format() costs would be missing in the load.
local function cut(event)
  wrk.method = "POST"
  wrk.body = '{"event_id":"' .. event .. '","ticket_id":"' .. placeholder .. '"}'
  local whole = wrk.format()
  local from, to = whole:find(placeholder, 1, true)
  return whole:sub(1, from - 1), whole:sub(to + 1)
end

local function one_by_one(args)
  local head, tail = cut(args[1])
  local ticket = tonumber(args[2])
  return function()
    ticket = ticket + 1
    return head .. ticket .. tail
  end
end

local function event_by_event(args)
  local first, size, heads, tail = tonumber(args[1]), tonumber(args[2]), {}, nil
  for i = 3, #args do
    heads[i - 2], tail = cut(args[i])
  end
  local count = -1
  return function()
    count = count + 1
    return heads[math.floor(count / size) % #heads + 1] .. (first + count % size) .. tail
  end
end

local function batches(args)
  local ticket, size = tonumber(args[3]), tonumber(args[4])
  local scan = '{"event_id":"' .. args[2] .. '","ticket_id":"'
  wrk.method = "POST"
  return function()
    local scans = {}
    for i = 1, size do
      ticket = ticket + 1
      scans[i] = scan .. ticket .. '","idempotency_key":"' .. ticket .. '"}'
    end
    return wrk.format(nil, nil, nil, '{"scans":[' .. table.concat(scans, ",") .. "]}")
  end
end

function init(args)
  if args[1] == "batch" then
    request = batches(args)
  elseif args[3] then
    request = event_by_event(args)
  elseif args[1] then
    request = one_by_one(args)
  end
end

function done(summary, latency)
  -- No response(), which would be called for every answer: wrk itself counts each status from 400 up.
  local failed = summary.errors
  local failures = failed.status + failed.connect + failed.read + failed.write + failed.timeout
  io.write(string.format("%d %d %d %.2f\n", summary.requests, summary.duration, failures, latency:percentile(99) / 1000))
end
