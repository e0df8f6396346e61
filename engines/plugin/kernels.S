// Embeds the kernels' PTX, kernels.bin of the include path, as the hidden symbol brigesAttentionKernels.
// It assembles on x86-64 and on aarch64. The file does not appear in what -MD writes: rebuild when it is newer.

    .section .rodata
    .balign 16
    .globl brigesAttentionKernels
    .hidden brigesAttentionKernels
    .type brigesAttentionKernels, %object
brigesAttentionKernels:
    .incbin "kernels.bin"
    .byte 0
    .size brigesAttentionKernels, . - brigesAttentionKernels

    .section .note.GNU-stack, "", %progbits
