/* Secrets that a TPM 2.0 gives back on this machine alone, with its firmware's keys as they are, and under Secure Boot to systems of who built this one alone.
 *
 * The policy: PCR 11, into which systemd's stub measured the image, must be what the builder signed (PolicyAuthorize), and PCR 7, which stands for Secure Boot and its
 * keys, must be what it was when the secret was sealed. Builder's key and signatures come with the image, through the stub (decision 059). Without Secure Boot any system
 * that is started here may measure what the image would, and is given the secret: whoever tells people about it says so (decision 112). */
#pragma once
#include "storage/token.h"

/* Outcome: there is no TPM, or nobody signed this image. */
enum { TPM_NONE = 1 };

/* Fills T's sealed from its secret, and proves that the way back works. */
MUST_CHECK int tpm_seal(struct token *t, struct err *e);
/* Fills T's secret from its sealed. TPM_NONE is an error here. */
MUST_CHECK int tpm_unseal(struct token *t, struct err *e);
