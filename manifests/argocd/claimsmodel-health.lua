-- Health of a ClaimsModel for Argo CD, by its conditions; types that are not named here play no part.
-- Argo CD gives scripts Lua 5.1 without the string library.
local health = {}

if obj.metadata.deletionTimestamp ~= nil then
  health.status = "Progressing"
  health.message = "being deleted"
  return health
end

local status = obj.status or {}
if status.observedGeneration == nil or status.observedGeneration ~= obj.metadata.generation then
  health.status = "Progressing"
  health.message = "the operator has not answered to this spec yet"
  return health
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is_true(type)
  return conditions[type] ~= nil and conditions[type].status == "True"
end

if is_true("Stalled") then
  -- After a rollback: "serving 1.2.0, rejected 1.3.0: ...". Git asks for what does not serve.
  health.status = "Degraded"
  health.message = conditions.Stalled.message
elseif is_true("Reconciling") then
  health.status = "Progressing"
  health.message = conditions.Reconciling.message
elseif is_true("Ready") then
  health.status = "Healthy"
  health.message = conditions.Ready.message
else
  health.status = "Progressing"
  health.message = conditions.Ready ~= nil and conditions.Ready.message or "no word about readiness yet"
end
return health
