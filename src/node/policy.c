#include "node/policy.h"

#include "api/meet.h"

static int denied(const struct farm *farm, const struct key_pub *caller, struct err *e)
{
	char key[KEY_TEXT_SIZE];

	key_pub_format(key, caller);
	return err_set(e, -EACCES, "farm '%s' does not know the key %s: its farmer lets it in with 'zos farm allow %s'", farm->name, key, key);
}

int policy_check(const struct farm *farm, const struct key_pub *caller, enum call_who who, struct err *e)
{
	char key[KEY_TEXT_SIZE];

	if (who == CALL_ANYONE)
		return 0;
	if (!farm)
		return err_set(e, -EACCES, "this node has no farm yet: boot it with a farm document ('zos farm init' makes one)");
	if (key_pub_eq(caller, &farm->farm) && who != CALL_NODE)
		return 0;
	if (who == CALL_ALLOWED)
		return farm_allow_find(farm, caller) ? 0 : denied(farm, caller, e);
	if (who == CALL_NODE)
		return caller->role == KEY_NODE ? 0 : err_set(e, -EACCES, "only another node may ask this");
	key_pub_format(key, &farm->farm);
	return err_set(e, -EACCES, "only the farm's own key may do this: sign it with %s", key);
}

int policy_owner(const struct farm *farm, const struct key_pub *caller, const struct key_pub *owner, struct err *e)
{
	char key[KEY_TEXT_SIZE];

	if (key_pub_eq(caller, owner) || (farm && key_pub_eq(caller, &farm->farm)))
		return 0;
	key_pub_format(key, owner);
	return err_set(e, -EACCES, "that belongs to %s", key);
}

int policy_node(const struct farm *farm, const struct key_pub *caller, sd_json_variant *approval, struct err *e)
{
	int r = policy_check(farm, caller, CALL_NODE, e);

	return r ? r : meet_approval_check(approval, &farm->farm, caller, e);
}
