-- The health of a ClusterLink in Argo CD. argocd-cm.yaml contains a copy.
-- Progressing: svclink has not processed the latest edit yet, or is connecting. Degraded: a user must act, or the
-- cluster is unreachable and its EndpointSlices are kept. Suspended: spec.enabled is false.
local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function health(state, condition)
  return { status = state, message = condition.reason .. ": " .. condition.message }
end

local ready = conditions["Ready"]
if ready == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for svclink" }
end
if ready.reason == "Disabled" then
  return health("Suspended", ready)
end
if ready.status == "Unknown" then
  return health("Progressing", ready)
end
if ready.status == "False" then
  return health("Degraded", ready)
end
local synced = conditions["Synced"]
if synced ~= nil and synced.status == "False" then
  if synced.reason == "Initializing" then
    return health("Progressing", synced)
  end
  return health("Degraded", synced)
end
for _, kind in ipairs({ "Degraded", "CredentialsExpiring" }) do
  local condition = conditions[kind]
  if condition ~= nil and condition.status == "True" then
    return health("Degraded", condition)
  end
end
return health("Healthy", ready)
