#include "node/ground.h"

#include <stdio.h>

static bool is_machine(const struct item *it)
{
	return it->work.kind == WORKLOAD_ZMACHINE;
}

static bool runs(const struct item *it)
{
	return is_machine(it) || it->work.kind == WORKLOAD_ZDB;
}

/* Whether the way to the backends of the published name leads through GROUND. */
static bool leads_to(const struct item *name, const struct item *ground)
{
	return name->view.kind == PLAN_GATEWAY && name->view.steps[STEP_NETWORK] != STEP_ABSENT && !strcmp(name->work.backends_in, ground->work.id);
}

/* Whether MACHINE, or a store, mounts, or joins, GROUND. One that runs by an older document may have what its new one does not name. */
static bool is_on(const struct item *machine, const struct item *ground)
{
	const struct work *w = &machine->work;

	if (!runs(machine) || strcmp(w->family, ground->work.family))
		return false;
	if (machine->view.changed)
		return true;
	for (size_t i = 0; i < w->spec.n_mounts; i++)
		if (!strcmp(w->spec.mounts[i].name, ground->work.name))
			return true;
	for (size_t i = 0; i < w->n_links; i++)
		if (!strcmp(w->links[i].network, ground->work.id))
			return true;
	return false;
}

/* Whether the public address GROUND leads to MACHINE, or is about to. */
static bool is_at(const struct item *machine, const struct item *ground)
{
	const struct work *w = &machine->work;

	if (ground->work.kind != WORKLOAD_IP || machine->view.kind != PLAN_MACHINE || machine->view.steps[STEP_NETWORK] == STEP_ABSENT)
		return false;
	return w->public.address == ground->work.public.address || !strcmp(w->public.ip, ground->work.id);
}

/* Whether somebody has GROUND, or is about to. */
static bool is_in_use(const struct engine *n, const struct item *ground)
{
	for (const struct item *it = n->items; it; it = it->next)
		if ((it->view.steps[STEP_MACHINE] != STEP_ABSENT && is_on(it, ground)) || leads_to(it, ground) || is_at(it, ground))
			return true;
	return false;
}

static void waits_for(struct item *it, const char *name)
{
	snprintf(it->waits_for, sizeof(it->waits_for), "waits for '%s', which is not at hand", name);
}

/* Whether all that a machine joins stands. */
static bool links_find(struct engine *n, struct item *it)
{
	const struct work *w = &it->work;

	for (size_t i = 0; i < w->n_links; i++) {
		const struct item *network = engine_item(n, &w->owner, w->deployment, w->links[i].name);

		if (network && network->work.kind == WORKLOAD_NETWORK && network->work.network.netns[0])
			continue;
		waits_for(it, w->links[i].name);
		return false;
	}
	return true;
}

/* Whether the network of a published name's backends stands. */
static bool backends_find(struct engine *n, struct item *it)
{
	const struct work *w = &it->work;
	const struct item *network = w->gateway.network ? engine_item(n, &w->owner, w->deployment, w->gateway.network) : NULL;

	if (!w->gateway.network || (network && network->work.kind == WORKLOAD_NETWORK && network->work.network.netns[0]))
		return true;
	waits_for(it, w->gateway.network);
	return false;
}

/* Finds what a machine mounts; false when some of it is not at hand. */
static bool sources_find(struct engine *n, struct item *it)
{
	struct work *w = &it->work;

	for (size_t i = 0; i < w->spec.n_mounts; i++) {
		const struct item *s = engine_item(n, &w->owner, w->deployment, w->spec.mounts[i].name);

		it->view.vacate |= s && s->work.storage.restore[0];
		if (!s || !workload_has_storage(s->work.kind) || !s->work.storage.path[0] || s->work.storage.restore[0]) {
			waits_for(it, w->spec.mounts[i].name);
			return false;
		}
		memcpy(w->sources[i], s->work.storage.path, sizeof(w->sources[i]));
		w->formats[i] = s->work.kind == WORKLOAD_ZMOUNT ? zmount_format_names[s->work.zmount.format] : NULL;
	}
	return true;
}

bool ground_check(struct engine *n, struct item *it)
{
	it->waits_for[0] = '\0';
	it->view.vacate = 0;
	it->view.unlinked = it->view.kind == PLAN_GATEWAY ? !backends_find(n, it) : runs(it) && !links_find(n, it);
	if (is_machine(it))
		return !sources_find(n, it) || it->view.unlinked;
	if (it->view.kind == PLAN_GATEWAY)
		return it->view.unlinked;
	return it->work.kind == WORKLOAD_ZDB ? !it->work.storage.path[0] || it->view.unlinked : is_in_use(n, it);
}
