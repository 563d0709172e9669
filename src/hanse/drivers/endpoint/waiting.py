"""How a request waits inside the proxy: a small program that haproxy runs.

Each route has, beside its upstreams, a spare server that leads to the route's own address. While no
upstream is in use, a request that comes is held at the front, and one that was already trying to
reach an upstream is sent by the spare one back to the front, to be held there too.

A worker that is being replaced takes no commands about its servers any more. It is told once to
send everything to the route's own address, where its successor listens.
"""

ONWARD = "onward"
"""Name of the spare server. No site is named so: a site's name has a slash."""
LEAVE = "hanse onward"
"""Command for a worker that is being replaced; may be repeated."""

REST_SECONDS = 0.1
"""Before a request that was answered 503 is sent again."""

_TEXT = """\
local seen = {{}}

-- True while no upstream of a route is in use; looked at once in 10 ms, for all that wait.
local function is_held(name)
  local now = core.now()
  local at = now.sec * 1000 + now.usec // 1000
  local last = seen[name]
  if last ~= nil and at - last.at < 10 then return last.held end
  local held = true
  for server_name, server in pairs(core.backends[name].servers) do
    if server_name ~= "{onward}" and server:get_stats().status ~= "MAINT" then held = false end
  end
  seen[name] = {{at = at, held = held}}
  return held
end

-- A request that finds no upstream in use waits here until one is set, or its patience is over.
local function hold(txn, name)
  local deadline = core.now().sec + {seconds}
  repeat
    core.msleep(10)
    local stopping = txn.f:stopping()
    if stopping == true or stopping == 1 or not is_held(name) then return end
  until core.now().sec >= deadline
  txn:set_var("txn.over", true)
end
core.register_action("hold", {{"http-req", "tcp-req"}}, hold, 1)

-- A program that has lost its database connections finds new ones in a moment.
local function rest() core.msleep({rest_ms}) end
core.register_action("rest", {{"http-res"}}, rest)

-- In a worker that is being replaced: every route leads to the worker that replaces it.
local function leave(applet)
  for _, backend in pairs(core.backends) do
    if backend.servers["{onward}"] ~= nil then
      for name, server in pairs(backend.servers) do
        if name ~= "{onward}" then server:set_maint() end
      end
    end
  end
  applet:send("done\\n")
end
core.register_cli({{{words}}}, "{command}", leave)
"""


def program(seconds: int) -> str:
    """The program's text; a request waits for so long."""
    words = ", ".join(f'"{word}"' for word in LEAVE.split())
    values = {"onward": ONWARD, "command": LEAVE, "words": words}
    return _TEXT.format(seconds=seconds, rest_ms=int(REST_SECONDS * 1000), **values)
