/* What OpenSSL gave, released at the end of the scope. */
#pragma once
#include "base/cleanup.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

static inline void evp_pkey_freep(EVP_PKEY **p)
{
	EVP_PKEY_free(*p);
}

static inline void bio_freep(BIO **p)
{
	BIO_free_all(*p);
}

static inline void x509_freep(X509 **p)
{
	X509_free(*p);
}

static inline void bn_freep(BIGNUM **p)
{
	BN_free(*p);
}

#define AUTO_PKEY CLEANUP(evp_pkey_freep) EVP_PKEY
#define AUTO_BIO CLEANUP(bio_freep) BIO
#define AUTO_X509 CLEANUP(x509_freep) X509
#define AUTO_BN CLEANUP(bn_freep) BIGNUM
