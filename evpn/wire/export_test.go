package wire

// DecodeBMPPanicking runs a decoder that panics under the guard of DecodeBMP.
func DecodeBMPPanicking() (BMPMessage, error) {
	return guard(func() (BMPMessage, error) { panic("index out of range") })
}
