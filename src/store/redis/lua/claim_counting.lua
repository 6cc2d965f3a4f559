-- What is left of a claim that asks counters. What comes before them is defined only for it.
if count(event, first, answers, true, not is_known) then
  redis.call('EXPIRE', tag .. 't' .. event, ends - secs + 1)
end
return answers
