-- For wrk: logins with the body RIGHT and the body WRONG in turn. The last line of output is "REQUESTS LET_IN".

function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  local logins = { wrk.format(nil, nil, nil, args[1]), wrk.format(nil, nil, nil, args[2]) }
  local turn = 1
  function request()
    turn = 3 - turn
    return logins[turn]
  end
end

function done(summary)
  -- Of what is answered, wrk counts as failed what is 400 or more.
  io.write(string.format("%d %d\n", summary.requests, summary.requests - summary.errors.status))
end
