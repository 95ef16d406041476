-- The health of a TrafficPolicy in Argo CD. argocd-cm.yaml contains it.
-- A failover is what the policy asks for, so it is healthy. Degraded: the policy is refused, or cannot be applied.
local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function health(state, condition)
  return { status = state, message = condition.reason .. ": " .. condition.message }
end

local accepted, applied = conditions["Accepted"], conditions["Applied"]
if accepted == nil or applied == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for svclink" }
end
for _, condition in ipairs({ accepted, applied }) do
  if condition.status ~= "True" then
    return health("Degraded", condition)
  end
end
return health("Healthy", applied)
