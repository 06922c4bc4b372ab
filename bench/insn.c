/* A plugin of QEMU's that counts the instructions which the machine's processors have executed, and says how many to whoever connects to a socket:
 * -plugin insn.so,socket=PATH. What a virtual machine in that machine executes is counted with the rest, since the same emulator does it.
 *
 * Instructions depend neither on how fast this machine is nor on what else it does. Counted is by blocks that are entered: one that a fault leaves early counts as a whole. The
 * declarations are QEMU's interface of plugins as its documentation has it (version 4); no package brings its header. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { API_VERSION = 4 };
enum plugin_op { ADD_U64, STORE_U64 };
struct qemu_plugin_tb;
struct qemu_plugin_scoreboard;
struct counter {
	struct qemu_plugin_scoreboard *score;
	size_t offset;
};
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t element_size);
uint64_t qemu_plugin_u64_sum(struct counter c);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*translated)(uint64_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *tb, enum plugin_op op, struct counter c, uint64_t by);

__attribute__((visibility("default"))) extern int qemu_plugin_version;
int qemu_plugin_version = API_VERSION;
__attribute__((visibility("default"))) int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

static struct { /* QEMU gives its callbacks no context */
	struct counter executed;
	int fd; /* listens */
} plugin;

static void on_translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, ADD_U64, plugin.executed, qemu_plugin_tb_n_insns(tb));
}

static void *answer(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept4(plugin.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		dprintf(fd, "%" PRIu64 "\n", qemu_plugin_u64_sum(plugin.executed));
		close(fd);
	}
	return NULL;
}

static bool listens(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	plugin.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return plugin.fd >= 0 && !bind(plugin.fd, (struct sockaddr *)&at, sizeof(at)) && !listen(plugin.fd, 4);
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	static const char word[] = "socket=";
	pthread_t thread;

	(void)info;
	if (argc != 1 || strncmp(argv[0], word, sizeof(word) - 1) || !listens(argv[0] + sizeof(word) - 1)) {
		fprintf(stderr, "insn.so: wants socket=PATH, of a socket that it can make\n");
		return -EINVAL;
	}
	plugin.executed.score = qemu_plugin_scoreboard_new(sizeof(uint64_t));
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
	return pthread_create(&thread, NULL, answer, NULL) ? -EAGAIN : 0;
}
