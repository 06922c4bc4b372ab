#include "machine/qmp.h"

#include "base/err.h"
#include "test/t.h"

#define EVENT(name, data) "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"" name "\", \"data\": {" data "}}\r\n"
#define IO_ERROR(operation)                                                                                                                        \
	EVENT("BLOCK_IO_ERROR", "\"device\": \"\", \"node-name\": \"layer\", \"reason\": \"No space left on device\", \"operation\": \"" operation \
				"\", \"action\": \"report\"")

static void each_line_is_a_word(void)
{
	static const struct {
		const char *line;
		int word;
	} rows[] = {
		{ "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 3, \"minor\": 0, \"major\": 10}}, \"capabilities\": [\"oob\"]}}\r\n",
		  QMP_GREETING },
		{ "{\"return\": {}}\r\n", QMP_DONE },
		{ IO_ERROR("write"), QMP_UNWRITTEN },
		{ IO_ERROR("read"), QMP_UNREAD },
		{ EVENT("BLOCK_IO_ERROR", ""), QMP_UNREAD },
		{ EVENT("SHUTDOWN", "\"guest\": true, \"reason\": \"guest-shutdown\""), QMP_OTHER },
		{ "{\"error\": {\"class\": \"GenericError\", \"desc\": \"x\"}}\r\n", QMP_OTHER },
		{ "{\"event\": 1}\n", QMP_OTHER },
		{ "{}\n", QMP_OTHER },
		{ "[]\n", -EBADMSG },
		{ "\n", -EBADMSG },
		{ "{\"return\": {}\n", -EBADMSG },
		{ "hello\n", -EBADMSG },
		{ "{\"return\": {}", QMP_MORE },
		{ "", QMP_MORE },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct qmp_ear ear = { .n = 0 };
		struct str p = str_c(rows[i].line);
		int word = qmp_take(&ear, &p);

		T_CHECK(word == rows[i].word && !p.n, "%s: %d", rows[i].line, word);
	}
}

static void lines_come_as_they_like(void)
{
	static const char text[] = "{\"return\": {}}\r\n" IO_ERROR("write") "{\"return\": 1}\n";
	struct qmp_ear ear = { .n = 0 };
	int words[3], n = 0;

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		struct str p = { text + i, 1 };
		int word = qmp_take(&ear, &p);

		if (word != QMP_MORE && T_CHECK(n < 3, "a fourth word"))
			words[n++] = word;
	}
	T_CHECK(n == 3 && words[0] == QMP_DONE && words[1] == QMP_UNWRITTEN && words[2] == QMP_DONE, "%d words", n);
}

static void a_line_has_a_limit(void)
{
	static char text[QMP_LINE_MAX + 1];
	struct qmp_ear ear = { .n = 0 };
	struct str p = { text, QMP_LINE_MAX };

	memset(text, ' ', sizeof(text));
	T_CHECK(qmp_take(&ear, &p) == QMP_MORE && !p.n, "as long as may be");
	p = (struct str){ text, 1 };
	T_CHECK(qmp_take(&ear, &p) == -EBADMSG, "a byte more");
}

int main(void)
{
	T_RUN(each_line_is_a_word);
	T_RUN(lines_come_as_they_like);
	T_RUN(a_line_has_a_limit);
	return T_END();
}
