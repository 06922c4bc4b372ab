#include "node/home.h"

#include "test/t.h"

static struct key_pub who(uint8_t n)
{
	struct key_pub k = { .role = n ? KEY_NODE : 0 };

	k.bytes[0] = n;
	return k;
}

static void the_rules_of_a_meeting(void)
{
	enum { NONE, OURS, OTHER, BAD };
	static const struct {
		bool is_durable, has_much, has_shut;
		int theirs;
		enum home_meeting want;
	} rows[] = {
		{ false, false, false, NONE, HOME_OURS },   { false, false, true, NONE, HOME_LATER },    { true, false, true, NONE, HOME_OURS },
		{ false, false, false, OURS, HOME_OURS },   { true, true, true, OURS, HOME_OURS },       { false, false, false, OTHER, HOME_BECOME },
		{ false, false, true, OTHER, HOME_BECOME }, { false, true, false, OTHER, HOME_FOREIGN }, { true, false, false, OTHER, HOME_FOREIGN },
		{ false, false, false, BAD, HOME_UNKNOWN }, { false, true, false, BAD, HOME_UNKNOWN },   { true, false, false, BAD, HOME_OURS },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct home_self self = { who(1), rows[i].is_durable, rows[i].has_much, rows[i].has_shut };
		struct key_pub theirs = who((uint8_t)rows[i].theirs);
		enum home_meeting got = home_meet(&self, rows[i].theirs == BAD ? NULL : &theirs);

		T_CHECK(got == rows[i].want, "row %zu: %d", i, got);
	}
}

static void most_disks_say_who_it_is(void)
{
	static const struct {
		uint8_t all[5];
		size_t n;
		uint8_t want;
	} rows[] = {
		{ { 0 }, 0, 0 }, { { 0, 0 }, 2, 0 }, { { 0, 3 }, 2, 3 }, { { 1, 2, 2 }, 3, 2 }, { { 2, 1, 2, 1, 1 }, 5, 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct key_pub all[5], got, want = who(rows[i].want);

		for (size_t k = 0; k < rows[i].n; k++)
			all[k] = who(rows[i].all[k]);
		got = home_elect(all, rows[i].n);
		T_CHECK(got.role == want.role && (!got.role || key_pub_eq(&got, &want)), "row %zu", i);
	}
	for (int turn = 0; turn < 2; turn++) { /* of equals the same one, in whatever order they are found */
		struct key_pub all[] = { who(turn ? 7 : 9), who(turn ? 9 : 7) }, got = home_elect(all, 2), first = who(7);
		char a[KEY_TEXT_SIZE], b[KEY_TEXT_SIZE];

		key_pub_format(a, &all[0]);
		key_pub_format(b, &all[1]);
		first = strcmp(a, b) < 0 ? all[0] : all[1];
		T_CHECK(key_pub_eq(&got, &first), "turn %d", turn);
	}
}

int main(void)
{
	T_RUN(the_rules_of_a_meeting);
	T_RUN(most_disks_say_who_it_is);
	return T_END();
}
