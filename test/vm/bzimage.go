package vm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
)

// Offsets in a bzImage: Linux, Documentation/arch/x86/boot.rst.
const (
	offSetupSectors  = 0x1f1
	offMagic         = 0x202
	offPayloadOffset = 0x248
	offPayloadLength = 0x24c
	sector           = 512
	// sizeTrailer is the length of the uncompressed size that follows the
	// compressed kernel.
	sizeTrailer = 4
)

// decompressors are the programs for each format, by the first bytes of what is
// compressed.
var decompressors = []struct {
	magic string
	argv  []string
}{
	{"\xfd7zXZ\x00", []string{"xz", "-dc"}},
	{"\x28\xb5\x2f\xfd", []string{"zstd", "-dcq"}},
}

// vmlinux returns the kernel proper that is compressed in a bzImage. It is
// started much faster, because no emulated processor has to unpack it.
func vmlinux(image []byte) ([]byte, error) {
	if len(image) < offPayloadLength+4 || string(image[offMagic:offMagic+4]) != "HdrS" {
		return nil, errors.New("no bzImage")
	}
	setup := int(image[offSetupSectors])
	if setup == 0 {
		setup = 4 // as the documentation says
	}
	begin := uint64(setup+1)*sector + uint64(binary.LittleEndian.Uint32(image[offPayloadOffset:]))
	end := begin + uint64(binary.LittleEndian.Uint32(image[offPayloadLength:]))
	if end > uint64(len(image)) || end < begin+sizeTrailer {
		return nil, fmt.Errorf("a bzImage of %d bytes with its kernel at %d to %d", len(image), begin, end)
	}
	kernel, err := decompress(image[begin : end-sizeTrailer])
	if err != nil {
		return nil, err
	}
	if size := binary.LittleEndian.Uint32(image[end-sizeTrailer:]); uint32(len(kernel)) != size {
		return nil, fmt.Errorf("a kernel of %d bytes in a bzImage that says %d", len(kernel), size)
	}
	return kernel, nil
}

// decompress unpacks what is compressed in one of the known formats.
func decompress(packed []byte) ([]byte, error) {
	for _, d := range decompressors {
		if !bytes.HasPrefix(packed, []byte(d.magic)) {
			continue
		}
		cmd := exec.Command(d.argv[0], d.argv[1:]...)
		cmd.Stdin = bytes.NewReader(packed)
		var out, errOut bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errOut
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", d.argv[0], err, bytes.TrimSpace(errOut.Bytes()))
		}
		return out.Bytes(), nil
	}
	return nil, fmt.Errorf("compressed in an unknown format, %x", packed[:min(8, len(packed))])
}
