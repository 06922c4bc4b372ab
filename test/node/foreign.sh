#!/bin/busybox sh
# What a system does that is not ours and wants the key of a disk of ours: init of its own archive, or a program that somebody runs who is root.
# It has all that is public, in /public (test/lab/foreign.py), and measures into PCR 11 what the image would, unless it is called with `as-is`.
# The steps are those of src/storage/tpm.c, by tpm2-tools; none of them stops the next one: the TPM is asked to the end, and its word stands behind each.
export PATH=/bin TPM2TOOLS_TCTI=device:/dev/tpm0
cd /public
[ $$ = 1 ] && mount -t devtmpfs none /dev && exec >/dev/console 2>&1

step() {
	if tpm2 "$@" >/dev/null 2>said; then
		echo "foreign: $1: done"
	else
		echo "foreign: $1: $(grep -o 'Esys_.*' said | tail -n 1)"
	fi
	tpm2 flushcontext -t
}

[ "$1" = as-is ] || while read -r digest; do
	step pcrextend "11:sha256=$digest"
done <measured
step createprimary -C o -G ecc:null:aes128cfb -g sha256 -c primary \
	-a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt'
step load -C primary -u sealed.pub -r sealed.priv -c sealed
step loadexternal -C o -G rsa -u builder.pem -a 'decrypt|sign|userwithauth' -c builder -n builder.name
step verifysignature -c builder -g sha256 -f rsassa -m policy -s signature -t ticket
step startauthsession --policy-session -S session
step policypcr -S session -l sha256:11
step policyauthorize -S session -i policy -n builder.name -t ticket
step policypcr -S session -l sha256:7
step unseal -c sealed -p session:session -o key
tpm2 flushcontext -l
[ -s key ] && echo "foreign: the key is $(base64 -w 0 key)"
echo 'foreign: that was all'
[ $$ = 1 ] && exec sleep 1000000
