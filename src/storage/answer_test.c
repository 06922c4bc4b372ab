/* What a child may say and what it may not; what is said is read as it was meant. */
#include "storage/answer.h"

#include "test/t.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"

static void answers_are_read(void)
{
	static const struct {
		const char *line;
		int r;
		enum answer_outcome outcome;
	} rows[] = {
		{ "{\"outcome\":\"blank\"}", 0, ANSWER_BLANK },
		{ "{\"outcome\":\"foreign\",\"text\":\"an ext4 file system is on it\"}", 0, ANSWER_FOREIGN },
		{ "{\"outcome\":\"ours\",\"uuid\":\"" UUID "\"}", 0, ANSWER_OURS },
		{ "{\"outcome\":\"done\",\"rotational\":true,\"key\":\"tpm\"}", 0, ANSWER_DONE },
		{ "{\"outcome\":\"failed\",\"text\":\"no\"}", 0, ANSWER_FAILED },
		{ "{\"outcome\":\"foreign\"}", -EBADMSG, 0 },          /* of what kind? */
		{ "{\"outcome\":\"failed\",\"text\":\"\"}", -EBADMSG, 0 },
		{ "{\"outcome\":\"ours\"}", -EBADMSG, 0 },
		{ "{\"outcome\":\"ours\",\"uuid\":\"../../etc\"}", -EBADMSG, 0 }, /* becomes a path */
		{ "{\"outcome\":\"ours\",\"uuid\":\"01234567-89AB-CDEF-0123-456789ABCDEF\"}", -EBADMSG, 0 },
		{ "{\"outcome\":\"ours\",\"uuid\":\"" UUID "0\"}", -EBADMSG, 0 },
		{ "{\"outcome\":\"fine\"}", -EBADMSG, 0 },
		{ "{\"outcome\":\"failed\",\"text\":\"a\\u001b[2Jb\"}", -EBADMSG, 0 }, /* a terminal shows it */
		{ "{\"outcome\":\"blank\",\"more\":1}", -EBADMSG, 0 },
		{ "{\"outcome\":\"done\",\"care\":{\"io_errors\":1}}", -EBADMSG, 0 },
		{ "{\"outcome\":\"done\",\"smart\":{\"failing\":true}}", -EBADMSG, 0 },
		{ "{\"outcome\":\"done\",\"escrow\":{}}", 0, ANSWER_DONE },
		{ "{\"outcome\":\"done\",\"escrow\":{\"key\":\"1234\"}}", -EBADMSG, 0 },
		{ "{\"outcome\":\"done\",\"escrow\":1}", -EBADMSG, 0 },
		{ "{\"outcome\":\"blank\"", -EBADMSG, 0 },
		{ "", -EBADMSG, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct answer a = { .outcome = ANSWER_OUTCOMES };
		struct err e = { 0 };
		int r = answer_decode(str_c(rows[i].line), &a, &e);

		T_CHECK(r == rows[i].r, "%s: %d %s", rows[i].line, r, e.msg);
		T_CHECK(a.outcome == (r ? ANSWER_OUTCOMES : rows[i].outcome), "%s: %d", rows[i].line, a.outcome);
		T_CHECK(!r == !e.msg[0], "%s: '%s'", rows[i].line, e.msg);
	}
}

static void an_answer_comes_back(void)
{
	struct answer a = { .outcome = ANSWER_DONE,
			    .uuid = UUID,
			    .is_rotational = true,
			    .key = ANSWER_KEY_TPM,
			    .has_care = true,
			    .care = { 1, 2, true, true, { .ended_s = 3 } },
			    .smart = { true, true, 4, 5 },
			    .escrow.is_there = true },
		      b;
	AUTO_BUF struct buf line = { 0 }, again = { 0 };
	struct err e = { 0 };

	memset(a.escrow.key, '0', SEAL_DIGEST_LEN);
	memset(a.escrow.sealed, 'A', RECOVERY_SEALED_TEXT_LEN);
	memcpy(a.escrow.sealed + RECOVERY_SEALED_TEXT_LEN - 2, "==", 2);
	T_NEED(!answer_encode(&a, &line) && !answer_decode(buf_str(&line), &b, &e), "%s", e.msg);
	T_CHECK(b.escrow.is_there && !strcmp(b.escrow.sealed, a.escrow.sealed), "%s", line.p);
	T_CHECK(!answer_encode(&b, &again) && str_eq(buf_str(&line), buf_str(&again)), "%s", again.p);
}

/* Errors of libraries may have anything in them, and as much as fits. */
static void any_text_can_be_said(void)
{
	struct answer a = { .outcome = ANSWER_FAILED }, b;
	AUTO_BUF struct buf line = { 0 };
	struct err e = { 0 };

	memset(a.text, '\x80', sizeof(a.text) - 1);
	T_NEED(!answer_encode(&a, &line) && !answer_decode(buf_str(&line), &b, &e), "%s", e.msg);
	T_CHECK(strlen(b.text) == sizeof(a.text) - 1 && b.text[0] == '?', "%s", b.text);
	T_CHECK(line.len <= ANSWER_MAX, "%zu bytes", line.len);
}

int main(void)
{
	T_RUN(answers_are_read);
	T_RUN(an_answer_comes_back);
	T_RUN(any_text_can_be_said);
	return T_END();
}
