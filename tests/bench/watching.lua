-- What a thousand watchers send: every request is one watcher's own, with the tags it holds, about two seconds after
-- the one before. Who was told something new holds the new tags from then on.
--
-- wrk calls setup, init, delay, request, response and done. Arguments: a file, milliseconds between two polls.
-- The file has a line `watcher <header>` for each, and below it what that one looks at, parts separated by tabs:
--    status <path> <tag>                          one resource, asked at every poll
--    region <address> <tag> <every nth poll>      a part of a page; all that are due go in one /ui/look
--    feed   <address> <cursor> <every nth poll>   the same for a list that grows

local threads = {}

function setup(thread)
   table.insert(threads, thread)
end

function init(args)
   math.randomseed(os.time())
   every, sent, watchers = tonumber(args[2]), 0, {}
   answers, bytes, wrong, pending = {}, {}, "", {}
   for line in io.lines(args[1]) do
      local kind, first, tag, nth = line:match("^(%a+)\t([^\t]*)\t?([^\t]*)\t?([^\t]*)$")
      if kind == "watcher" then
         table.insert(watchers, {header = first, parts = {}, polls = math.random(0, 1000)})
      else
         table.insert(watchers[#watchers].parts,
                      {kind = kind, address = first, tag = tag, nth = tonumber(nth) or 1})
      end
   end
end

-- They come one after the other within five intervals, as people do. All at once they would go on asking in the same
-- moment of every interval.
function delay()
   if sent < #watchers then return math.random(0, 5 * every) end
   return math.random(math.floor(every * 0.9), math.floor(every * 1.1))
end

local function escaped(text)
   return (text:gsub("[^%w%-_.~]", function(c) return string.format("%%%02X", c:byte()) end))
end

local function look(watcher)
   local query, tags, asked = {}, {}, {}
   for _, part in ipairs(watcher.parts) do
      if watcher.polls % part.nth == 0 then
         local address = part.address
         if part.kind == "feed" then
            address = address .. (address:find("?", 1, true) and "&" or "?") .. "after=" .. part.tag
         end
         table.insert(query, "r=" .. escaped(address))
         table.insert(tags, part.kind == "feed" and "" or part.tag)
         table.insert(asked, part)
      end
   end
   return "/ui/look?" .. table.concat(query, "&"), '"' .. table.concat(tags, "|") .. '"', asked
end

-- The answer names its request by the id that the request brought along. What must be read here is not to be packed.
function request()
   local n = sent % #watchers + 1
   local watcher = watchers[n]
   sent, watcher.polls = sent + 1, watcher.polls + 1
   local path, tag, asked
   if watcher.parts[1].kind == "status" then
      path, tag, asked = watcher.parts[1].address, watcher.parts[1].tag, {watcher.parts[1]}
   else
      path, tag, asked = look(watcher)
   end
   pending[sent] = asked
   return "GET " .. path .. " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\n" .. watcher.header
      .. (asked[1].kind == "status" and "\r\nAccept-Encoding: gzip" or "") .. "\r\nSec-Fetch-Site: same-origin\r\nX-Request-Id: " .. sent
      .. "\r\nIf-None-Match: " .. tag .. "\r\n\r\n"
end

-- Of {"regions": [{poll, html, etag}, {poll, html, after}, {poll}]} the tags, without what is drawn.
local function learn(asked, body)
   local plain = body:gsub("\\.", ""):gsub('"html":"[^"]*"', "")
   local n = 0
   for said in plain:gmatch("{([^{}]*)}") do
      n = n + 1
      local part = asked[n] or {}
      part.tag = said:match('"etag":"([^"]*)"') or said:match('"after":(%d+)') or part.tag
      if said:find('"code"', 1, true) and wrong == "" then wrong = tostring(part.address) .. " " .. said end
   end
   if n ~= #asked and wrong == "" then wrong = "not what was asked: " .. body:sub(1, 200) end
end

function response(status, headers, body)
   answers[status] = (answers[status] or 0) + 1
   bytes[status] = (bytes[status] or 0) + #body
   local id = tonumber(headers["X-Request-Id"] or "") or 0
   local asked = pending[id]
   pending[id] = nil
   if status == 200 and asked and asked[1].kind == "status" then
      asked[1].tag = headers["ETag"]
   elseif status == 200 and asked then
      learn(asked, body)
   elseif status ~= 304 and wrong == "" then
      wrong = status .. " " .. body:sub(1, 200)
   end
end

local function listed(name)
   local whole, parts = {}, {}
   for _, thread in ipairs(threads) do
      for status, n in pairs(thread:get(name)) do whole[status] = (whole[status] or 0) + n end
   end
   for status, n in pairs(whole) do table.insert(parts, string.format('"%d": %d', status, n)) end
   return "{" .. table.concat(parts, ", ") .. "}"
end

function done(summary, latency, requests)
   local errors, first = summary.errors, ""
   for _, thread in ipairs(threads) do if first == "" then first = thread:get("wrong") end end
   io.write("RESULT " .. string.format(
      '{"requests": %d, "seconds": %.2f, "ms": {"p50": %.2f, "p95": %.2f, "p99": %.2f, "max": %.2f}, '
      .. '"answers": %s, "body_bytes": %s, "broken": {"connect": %d, "read": %d, "write": %d, "timeout": %d}}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(95) / 1000,
      latency:percentile(99) / 1000, latency.max / 1000, listed("answers"), listed("bytes"),
      errors.connect, errors.read, errors.write, errors.timeout))
   io.write("WRONG " .. first:gsub("%s+", " ") .. "\n")
end
