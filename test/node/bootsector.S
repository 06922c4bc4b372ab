/* All of a system: it counts in the disk's second sector how often it was started, says so on the serial line, restarts itself once, and then
 * stays. test/node/sector_test.py. */
	.code16
	.globl	_start
_start:
	ljmp	$0, $begin
begin:
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp
	movb	%dl, drive
	movb	$0x02, %ah /* read */
	call	sector
	incb	count
	movb	$0x03, %ah /* write */
	call	sector
	movb	count, %al
	addb	$'0', %al
	movb	%al, digit
	movw	$said, %si
	call	print
	cmpb	$1, count
	jne	stay
	movw	$0xcf9, %dx /* q35's reset register */
	movb	$0x06, %al
	outb	%al, %dx
stay:
	hlt
	jmp	stay

sector: /* AH: what to do with the second sector, at 0x7e00 */
	movb	$1, %al
	movw	$0x0002, %cx
	movb	$0, %dh
	movb	drive, %dl
	movw	$count, %bx
	int	$0x13
	jc	failed
	ret
failed:
	movw	$unwritten, %si
	call	print
	jmp	stay

print: /* SI, up to NUL */
	lodsb
	testb	%al, %al
	jz	1f
	movb	%al, %bl
	movw	$0x3fd, %dx
2:	inb	%dx, %al
	testb	$0x20, %al
	jz	2b
	movw	$0x3f8, %dx
	movb	%bl, %al
	outb	%al, %dx
	jmp	print
1:	ret

said:	.ascii	"\r\nstart number "
digit:	.asciz	"0 of this disk\r\n"
unwritten:
	.asciz	"\r\nthe disk failed\r\n"
drive:	.byte	0
	.org	510
	.word	0xaa55
	.org	512
count:
