/* noded -- the engine. Takes no arguments. */
#include "gateway/gateway.h"
#include "image/image.h"
#include "machine/machine.h"
#include "network/edge.h"
#include "network/names.h"
#include "network/network.h"
#include "node/clock.h"
#include "node/disks.h"
#include "node/home.h"
#include "node/resolver.h"
#include "node/serve.h"
#include "node/view.h"
#include "storage/system.h"
#include "svc/daemon.h"

#include "base/file.h"
#include "base/log.h"
#include "sys/resolv.h"

#include <fcntl.h>
#include <sys/stat.h>

#define STATE_DIR "/run/zos/state" /* a node without a data disk remembers until it is switched off, and says so */
#define HOME_MARK "/run/zos/home"
#define SOCKET_DIR "/run/zos/noded"
#define CONSOLE_DIR "/run/zos/console"
#define FILTER_PROGRAM "/usr/lib/zos/filter"
#define PROGRAMS "/usr/lib/zos"
#define VOLUME_PROGRAM "/usr/lib/zos/volume"
#define FARM_AT_BOOT "/run/boot/credentials/farm.cred"

enum { UID_GRIDD = 901, UID_IMAGED = 902, UID_QEMU = 904, UID_CONSOLE = 905 };

/* The farm document that came with the boot medium. A node that cannot use it says so and goes on with what it knows. */
static void farm_at_boot(struct engine *n)
{
	AUTO_BUF struct buf text = { 0 };
	struct err e = { 0 };
	int r = file_read(AT_FDCWD, FARM_AT_BOOT, DSSE_PAYLOAD_MAX * 2, &text, &e);

	if (r == -ENOENT)
		return;
	if (!r)
		r = engine_set_farm(n, buf_str(&text), &e);
	if (r < 0 && r != -ESTALE)
		log_err("the farm document of the boot medium: %s", e.msg);
}

static int providers_make(sd_event *event, struct home *home, struct provider *ret[static STEPS], struct err *e)
{
	static const struct image_options image = { .socket = IMAGED_SOCKET };
	static const struct network_options network = { .dir = NETWORK_DIR,
							.resolv_conf = RESOLV_CONF,
							.tap_uid = UID_QEMU,
							.imaged_uid = UID_IMAGED,
							.filter = FILTER_PROGRAM,
							.names_dir = NAMES_DIR,
							.edge_dir = EDGE_DIR };
	static const struct gateway_options gateway = {
		.socket = GATEWAY_SOCKET, .acme_socket = GATEWAY_ACME_SOCKET, .program = GATEWAY_PROGRAM, .supervisor = SUPERVISOR_DEFAULT
	};
	static const struct machine_options machine = { .dir = "/run/zos/machines", .resolv_conf = RESOLV_CONF };
	const struct volumes_options volumes = { .program = VOLUME_PROGRAM, .disks = home_disks, .trouble = home_trouble, .ctx = home };
	int r;

	if ((r = volumes_new(event, &volumes, &ret[STEP_STORAGE], e)) || (r = image_provider_new(event, &image, &ret[STEP_IMAGE], e)) ||
	    (r = network_provider_new(event, &network, &ret[STEP_NETWORK], e)) || (r = gateway_provider_new(event, &gateway, &ret[STEP_GATEWAY], e)))
		return r;
	return machine_provider_new(event, &machine, &ret[STEP_MACHINE], e);
}

/* Disks of another farm stay shut, if the boot medium says which this one's is. */
static int disks_start(struct storage *s, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	struct farm farm = { 0 };
	char key[KEY_TEXT_SIZE] = "";

	if (!file_read(AT_FDCWD, FARM_AT_BOOT, DSSE_PAYLOAD_MAX * 2, &text, NULL) && !farm_open(buf_str(&text), &farm, e))
		key_pub_format(key, &farm.farm);
	storage_allow_usb(s, farm.usb_disks);
	farm_deinit(&farm);
	storage_set_farm(s, key);
	return storage_start(s, e);
}

/* All that is needed to know who this node is, and no more. */
static int engine_begin(struct engine *n, struct home *home, sd_event *event, struct provider *const providers[static STEPS], struct err *e)
{
	char dirs[STORE_ROOTS_MAX][STORE_DIR_MAX];
	const char *list[STORE_ROOTS_MAX];
	bool durable;
	int n_dirs = home_wait(home, dirs, STORE_ROOTS_MAX, &durable, e);

	for (int i = 0; i < n_dirs; i++)
		list[i] = dirs[i];
	return n_dirs < 0 ? n_dirs : engine_init(n, event, list, (size_t)n_dirs, durable, providers, e);
}

/* One process each may reach what is in there. */
static int socket_dir(const char *path, gid_t who, struct err *e)
{
	int r = dir_make(path, 0750, e);

	if (!r && (chown(path, 0, who) || chmod(path, 0750)))
		return err_set(e, -errno, "open %s to uid %u: %m", path, who);
	return r;
}

int main(void)
{
	static const struct home_paths paths = {
		.ram = STATE_DIR, .mark = HOME_MARK, .cache = IMAGED_CACHE, .imagemove = IMAGEMOVE_PROGRAM, .imagecopy = IMAGECOPY_PROGRAM
	};
	CLEANUP(event_unrefp) sd_event *event = NULL;
	struct provider *providers[STEPS] = { 0 };
	struct engine n = ENGINE_NONE;
	struct serve s = SERVE_NONE;
	struct storage storage = STORAGE_NONE;
	struct storage_system system = STORAGE_SYSTEM_NONE;
	struct home home = HOME_NONE;
	struct storage_events events = home_events;
	struct meetings meetings;
	struct view v = { 0 };
	struct err e = { 0 };
	int r = daemon_loop("noded", &event, &e);

	events.ctx = &home;
	if (r || (r = home_init(&home, event, &paths, &storage, &e)) || (r = providers_make(event, &home, providers, &e)) ||
	    (r = storage_system_init(&system, &storage, event, PROGRAMS, &events, &e)) || (r = disks_start(&storage, &e)) ||
	    (r = engine_begin(&n, &home, event, providers, &e)) || (r = socket_dir(SOCKET_DIR, UID_GRIDD, &e)) ||
	    (r = socket_dir(CONSOLE_DIR, UID_CONSOLE, &e)))
		return daemon_failed(&e);
	farm_at_boot(&n);
	disks_configure(&storage, n.farm);
	clock_configure(n.farm);
	resolver_configure(n.farm);
	if ((r = serve_init(&s, &n, &storage, SOCKET_DIR "/sock", &e)) || (r = home_begin(&home, &n, &s.nonces, providers[STEP_STORAGE], &e)) ||
	    (r = view_init(&v, &n, &s.line, CONSOLE_DIR "/sock", &e)))
		return daemon_failed(&e);
	meetings = meet_meetings(&s.meet);
	meet_attach(&s.meet, network_attach(providers[STEP_NETWORK], &meetings));
	daemon_ready(n.farm ? n.farm->name : "without a farm");
	r = daemon_run(event);
	meet_attach(&s.meet, NULL);
	network_attach(providers[STEP_NETWORK], NULL);
	view_deinit(&v);
	serve_deinit(&s);
	storage_deinit(&storage);
	storage_system_deinit(&system);
	home_deinit(&home);
	engine_deinit(&n);
	gateway_provider_free(providers[STEP_GATEWAY]);
	machine_provider_free(providers[STEP_MACHINE]);
	network_provider_free(providers[STEP_NETWORK]);
	image_provider_free(providers[STEP_IMAGE]);
	volumes_free(providers[STEP_STORAGE]);
	return r;
}
