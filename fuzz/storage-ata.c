/* What a SATA disk says of itself is refused, or says something that a run of `disk` can hand on unchanged. */
#include "api/json.h"
#include "storage/ata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_JSON sd_json_variant *v = NULL;
	struct smart s = { 0 }, again = { 0 };

	if (ata_decode((struct str){ (const char *)data, n }, &s, NULL))
		return 0;
	if (!s.is_known && (s.is_failing || s.worn || s.bad_sectors))
		abort();
	if (s.is_known && (smart_answer_json(&s, &v) < 0 || smart_answer_decode(v, &again, NULL) || again.is_failing != s.is_failing ||
			   again.worn != s.worn || again.bad_sectors != s.bad_sectors))
		abort();
	return 0;
}
