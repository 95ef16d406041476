-- The health of a TrafficPolicy in Argo CD. argocd-cm.yaml contains a copy.
-- A failover is healthy, because the policy asks for it. Degraded: the policy is rejected or cannot be applied.
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
