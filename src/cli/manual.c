/* Completion and the manual page: printed from the tables of commands, so that they cannot be wrong about them. */
#include "cli/command.h"

#include <stdio.h>

typedef void each_fn(const struct command *c);

static void each_command(each_fn *fn)
{
	for (size_t g = 0; g < n_command_groups; g++)
		for (size_t i = 0; i < *command_groups[g].n; i++)
			fn(&command_groups[g].commands[i]);
}

/* The first words, each once: "node list" and "node info" are one. */
static void first_words_print(void)
{
	const char *last = "";

	for (size_t g = 0; g < n_command_groups; g++)
		for (size_t i = 0; i < *command_groups[g].n; i++) {
			const char *name = command_groups[g].commands[i].name;
			int n = (int)strcspn(name, " ");

			if (strncmp(name, last, (size_t)n + 1) && (strncmp(name, last, (size_t)n) || last[n] != ' '))
				printf("%.*s ", n, name);
			last = name;
		}
}

static void second_words_print(const char *first, int n)
{
	for (size_t g = 0; g < n_command_groups; g++)
		for (size_t i = 0; i < *command_groups[g].n; i++) {
			const char *name = command_groups[g].commands[i].name;

			if (!strncmp(name, first, (size_t)n) && name[n] == ' ')
				printf("%s ", name + n + 1);
		}
}

static void options_case(const struct command *c)
{
	printf("\t\"%s\" | \"%s \"*) words=\"", c->name, c->name);
	for (size_t i = 0; i < c->n_opts; i++)
		printf("--%s ", c->opts[i].name);
	printf("--json --help\" ;;\n");
}

static void group_case(const struct command *c)
{
	static const char *last = "";
	int n = (int)strcspn(c->name, " ");

	if (c->name[n] != ' ' || (!strncmp(c->name, last, (size_t)n) && last[n] == ' '))
		return;
	printf("\t\"%.*s\") words=\"", n, c->name);
	second_words_print(c->name, n);
	printf("\" ;;\n");
	last = c->name;
}

static void bash_print(void)
{
	printf("_zos() {\n\tlocal line=\"${COMP_WORDS[*]:1:$((COMP_CWORD-1))}\" words=\"\"\n\tcase \"$line\" in\n\t\"\") words=\"");
	first_words_print();
	printf("--help --version\" ;;\n");
	each_command(group_case);
	each_command(options_case);
	printf("\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\n"
	       "complete -o default -F _zos zos\n");
}

static int cmd_completion(const struct cli *c, const void *args, const char **words, struct err *e)
{
	bool is_zsh = !strcmp(words[0], "zsh");

	(void)c;
	(void)args;
	if (!is_zsh && strcmp(words[0], "bash"))
		return err_set(e, -EINVAL, "'%s' is no shell that this knows: bash or zsh", words[0]);
	if (is_zsh) /* which can read what bash reads */
		printf("autoload -Uz compinit bashcompinit\n(( $+functions[compdef] )) || compinit\nbashcompinit\n");
	bash_print();
	return 0;
}

/* Text for troff: a leading dot or a backslash would be a command. */
static void roff_print(const char *text)
{
	for (; *text; text++)
		printf(*text == '-' ? "\\-" : *text == '\\' ? "\\e" : *text == '\'' ? "\\(aq" : "%c", *text);
}

static void roff_command(const struct command *c)
{
	printf(".TP\n.B zos %s\n", c->name);
	if (c->words)
		printf(".I %s\n", c->words);
	roff_print(c->help);
	printf(".\n");
	for (size_t i = 0; i < c->n_opts; i++) {
		printf(".RS\n.TP\n.BR \\-\\-%s", c->opts[i].name);
		printf(c->opts[i].arg ? " \" \" \\fI%s\\fR\n" : "\n", c->opts[i].arg);
		roff_print(c->opts[i].help);
		printf("\n.RE\n");
	}
}

static int cmd_manual(const struct cli *c, const void *args, const char **words, struct err *e)
{
	(void)c;
	(void)args;
	(void)words;
	(void)e;
	printf(".TH ZOS 1 \"\" \"Zero\\-OS %s\" \"Zero\\-OS\"\n.SH NAME\nzos \\- deploy containers and virtual machines on Zero\\-OS nodes\n"
	       ".SH SYNOPSIS\n.B zos\n.I COMMAND\n[\\fIWORD\\fR...] [\\fIOPTION\\fR...]\n",
	       ZOS_VERSION);
	printf(".SH DESCRIPTION\nEvery command takes \\fB\\-\\-help\\fR and \\fB\\-\\-json\\fR. The exit status is 0, or 1 with a sentence on\n"
	       "standard error, or 2 when there is no such command.\n");
	for (size_t g = 0; g < n_command_groups; g++) {
		printf(".SH %s\n", command_groups[g].title);
		for (size_t i = 0; i < *command_groups[g].n; i++)
			roff_command(&command_groups[g].commands[i]);
	}
	printf(".SH FILES\n.TP\n.I $XDG_CONFIG_HOME/zos\nkeys and profile; \\fI~/.config/zos\\fR when the variable is not set. ZOS_CONFIG names another.\n");
	return 0;
}

const struct command manual_commands[] = {
	{ .name = "completion",
	  .words = "bash|zsh",
	  .help = "completion for a shell: 'source <(zos completion bash)'",
	  .min_words = 1,
	  .max_words = 1,
	  .run = cmd_completion },
	{ .name = "manual", .help = "the manual page: 'zos manual | man -l -'", .run = cmd_manual },
};
const size_t n_manual_commands = ARRAY_LEN(manual_commands);
