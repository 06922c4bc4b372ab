/* zos -- the client of owners and farmers. */
#include "cli/command.h"

#include "base/log.h"

#include <netdb.h>
#include <nss.h>
#include <signal.h>
#include <stdio.h>

const struct command_group command_groups[] = {
	{ "Run things", deployment_commands, &n_deployment_commands },
	{ "Reach machines", machine_commands, &n_machine_commands },
	{ "Keep data", volume_commands, &n_volume_commands },
	{ "Connect machines", network_commands, &n_network_commands },
	{ "Keep images", image_commands, &n_image_commands },
	{ "Nodes", node_commands, &n_node_commands },
	{ "Nodes that reach no hub", diagnose_commands, &n_diagnose_commands },
	{ "Keys", key_commands, &n_key_commands },
	{ "For farmers", farm_commands, &n_farm_commands },
	{ "For farmers: what a node does for the others", farm_role_commands, &n_farm_role_commands },
	{ "Boot media", media_commands, &n_media_commands },
	{ "Boot over the network", netboot_commands, &n_netboot_commands },
	{ "For hub operators", hub_commands, &n_hub_commands },
	{ "About this program", manual_commands, &n_manual_commands },
};
const size_t n_command_groups = ARRAY_LEN(command_groups);

static void help_all(FILE *f)
{
	fprintf(f, "zos: deploy containers and virtual machines on your Zero-OS nodes\n");
	for (size_t g = 0; g < ARRAY_LEN(command_groups); g++) {
		fprintf(f, "\n%s\n", command_groups[g].title);
		for (size_t i = 0; i < *command_groups[g].n; i++) {
			const struct command *c = &command_groups[g].commands[i];
			char left[64];

			snprintf(left, sizeof(left), "zos %s %s", c->name, c->words ? c->words : "");
			fprintf(f, "  %-40s %s\n", left, c->help);
		}
	}
	fprintf(f, "\n'zos COMMAND --help' lists a command's options; --json works with all of them.\n");
}

static void help_one(const struct command *c)
{
	printf("zos %s %s\n\n%s\n\n", c->name, c->words ? c->words : "", c->help);
	opt_help(stdout, c->opts, c->n_opts);
	printf("  %-24s %s\n", "--json", "for programs: JSON on standard output");
}

/* How many of the first words spell NAME; 0 = they do not. */
static int words_spell(char **argv, const char *name)
{
	struct str rest = str_c(name), word;
	int n = 0;

	while (str_next(&rest, ' ', &word))
		if (!argv[n] || !str_eq(str_c(argv[n++]), word))
			return 0;
	return n;
}

/* The command with the longest name that the first words spell; *ret_used says how many they are. */
static const struct command *command_find(char **argv, int *ret_used)
{
	const struct command *found = NULL;

	*ret_used = 0;
	for (size_t g = 0; g < ARRAY_LEN(command_groups); g++)
		for (size_t i = 0; i < *command_groups[g].n; i++) {
			const struct command *c = &command_groups[g].commands[i];
			int n = words_spell(argv, c->name);

			if (n > *ret_used) {
				*ret_used = n;
				found = c;
			}
		}
	return found;
}

/* Takes FLAG out of ARGV, up to "--"; says whether it was there. */
static bool take_flag(char **argv, const char *flag)
{
	bool found = false;
	char **to = argv;

	for (char **from = argv; *from; from++) {
		if (!strcmp(*from, "--")) {
			while (*from)
				*to++ = *from++;
			break;
		}
		if (!strcmp(*from, flag))
			found = true;
		else
			*to++ = *from;
	}
	*to = NULL;
	return found;
}

static int command_run(const struct cli *cli, const struct command *c, char **argv, struct err *e)
{
	_Alignas(max_align_t) char args[COMMAND_ARGS_MAX] = { 0 };
	const char *words[COMMAND_WORDS_MAX] = { 0 };
	struct opt_words w = { words, ARRAY_LEN(words), false };
	int n;

	BUG_ON(c->args_size > sizeof(args)); /* before anything is put there */
	n = opt_parse(c->opts, c->n_opts, argv, args, &w, e);
	if (n < 0)
		return n;
	if (n < c->min_words || n > c->max_words)
		return err_set(e, -EINVAL, "usage: zos %s %s", c->name, c->words ? c->words : "");
	return c->run(cli, args, words, e);
}

int main(int argc, char **argv)
{
	struct cli cli = { .tty = isatty(STDERR_FILENO) };
	const struct command *c;
	struct err e = { 0 };
	bool help;
	int used, r;

	(void)argc;
	/* A static program must not load the modules that this machine's nsswitch.conf names. */
	__nss_configure_lookup("hosts", "files dns");
	log_init("zos", getenv("ZOS_DEBUG") != NULL);
	signal(SIGPIPE, SIG_IGN);
	cli.json = take_flag(argv + 1, "--json");
	help = take_flag(argv + 1, "--help");
	if (take_flag(argv + 1, "--version"))
		return printf("zos %s\n", ZOS_VERSION) < 0;
	c = command_find(argv + 1, &used);
	if (!c) {
		help_all(argv[1] && !help ? stderr : stdout);
		if (argv[1] && !help)
			fprintf(stderr, "\nzos: there is no command '%s'\n", argv[1]);
		return argv[1] && !help ? 2 : 0;
	}
	if (help) {
		help_one(c);
		return 0;
	}
	r = command_run(&cli, c, argv + 1 + used, &e);
	if (r >= 0)
		return c->has_status ? r : 0;
	if (cli.json)
		fprintf(stderr, "{\"error\":%d,\"message\":\"%s\"}\n", -e.code, e.msg);
	else
		fprintf(stderr, "zos: %s\n", e.msg);
	return c->failed ? c->failed : 1;
}
