/* The test framework, whole. Prints TAP; meson reads it. */
#pragma once
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static int t_ran, t_bad;

/* Goes on after a failure; the words after COND say what the row was. Evaluates COND once and returns it. */
#define T_CHECK(cond, ...)                                                         \
	({                                                                         \
		bool held_ = (cond);                                               \
		if (!held_) {                                                      \
			t_bad++;                                                   \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond); \
			fprintf(stderr, __VA_ARGS__);                              \
			fprintf(stderr, "\n");                                     \
		}                                                                  \
		held_;                                                             \
	})

/* For what the rest of a test stands on: ends the program. */
#define T_NEED(cond, ...)                          \
	do {                                       \
		if (!T_CHECK(cond, __VA_ARGS__)) { \
			printf("Bail out!\n");     \
			exit(EXIT_FAILURE);        \
		}                                  \
	} while (0)

#define T_RUN(fn)                                                                             \
	do {                                                                                  \
		int bad_before_ = t_bad;                                                      \
		fn();                                                                         \
		printf("%s %d - %s\n", t_bad == bad_before_ ? "ok" : "not ok", ++t_ran, #fn); \
		fflush(stdout);                                                               \
	} while (0)

#define T_END() (printf("1..%d\n", t_ran), t_bad ? EXIT_FAILURE : EXIT_SUCCESS)
