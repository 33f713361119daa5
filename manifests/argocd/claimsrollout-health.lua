-- Health of a ClaimsRollout, the record of one attempt, for Argo CD.
-- Argo CD gives scripts Lua 5.1 without the string library.
local health = {}
local status = obj.status or {}
local result = status.result or "Running"

health.message = status.message or ""
if result == "Running" then
  health.status = "Progressing"
elseif result == "RolledBack" then
  health.status = "Degraded"
elseif result == "Promoted" or result == "Withdrawn" then
  health.status = "Healthy"
else
  health.status = "Unknown"
  health.message = "this script does not know the result " .. result
end
return health
