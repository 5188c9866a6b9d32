package config

import (
	"errors"
	"fmt"
	"strings"
)

// maxPassword is TCP_MD5SIG_MAXKEYLEN.
const maxPassword = 80

// readSecret reads a password of one line from a file that only its owner may
// read.
func readSecret(path string) (string, error) {
	data, mode, err := readFile(path)
	if err != nil {
		return "", errors.New(fileProblem(err))
	}
	if mode.Perm()&0o077 != 0 {
		return "", fmt.Errorf("other users may read it (mode %04o): chmod 0600 it", mode.Perm())
	}
	return checkSecret(string(data))
}

// checkSecret cuts the newline at the end of a password and checks what is left.
func checkSecret(text string) (string, error) {
	password := strings.TrimRight(text, "\r\n")
	switch {
	case password == "":
		return "", errors.New("it is empty: write the password in its first line")
	case strings.ContainsAny(password, "\r\n\x00"):
		return "", errors.New("it has more than one line: write the password in its only line")
	case len(password) > maxPassword:
		return "", fmt.Errorf("the password is longer than %d bytes, the limit of TCP MD5", maxPassword)
	}
	return password, nil
}
