package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// MaxSize is the largest file that is read, in bytes: about 3000 pseudowires
// with every key given.
const MaxSize = 1 << 20

// Load reads and validates a file and the secrets that it names. The error is
// an Errors.
func Load(path string) (*Config, error) {
	r := &report{file: path}
	data, mode, err := readFile(path)
	if err != nil {
		r.add(place{}, fileProblem(err), "")
		return nil, r.err()
	}
	cfg := parse(r, data, readSecret)
	if cfg != nil && holdsCookies(cfg) && mode.Perm()&0o004 != 0 {
		r.add(place{}, fmt.Sprintf("holds cookies and everyone may read it (mode %04o)", mode.Perm()), "chmod 0640 it")
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return cfg, nil
}

// Parse validates the bytes of a file of that name. Secrets are read by secret,
// which is given the path of a password_file. The error is an Errors.
func Parse(file string, data []byte, secret func(path string) (string, error)) (*Config, error) {
	r := &report{file: file}
	cfg := parse(r, data, secret)
	if err := r.err(); err != nil {
		return nil, err
	}
	return cfg, nil
}

func parse(r *report, data []byte, secret func(string) (string, error)) *Config {
	if len(data) > MaxSize {
		r.add(place{}, fmt.Sprintf("is larger than %d bytes", MaxSize), "split it over several agents")
		return nil
	}
	root, ok := r.document(data)
	if !ok {
		return nil
	}
	var raw rawFile
	decoder{r}.mapping(root, place{Line: root.Line}, reflect.ValueOf(&raw).Elem())
	return resolver{r}.file(&raw, secret)
}

// document reads the one YAML document of a file.
func (r *report) document(data []byte) (*yaml.Node, bool) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && isNull(doc.Content[0]) {
		r.add(place{Line: 1}, "the file is empty", "begin with the output of longwire config example")
		return nil, false
	}
	if err == nil {
		if err = dec.Decode(&second); errors.Is(err, io.EOF) {
			return doc.Content[0], true
		}
		if err == nil {
			r.add(place{Line: second.Line}, "a second YAML document begins here", "keep one document in a file")
			return nil, false
		}
	}
	line, problem := syntaxError(err, data)
	r.add(place{Line: line}, "is not YAML: "+problem, "")
	return nil, false
}

var (
	yamlError     = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntaxError takes the line out of an error of the YAML library, which gives
// none for an unknown anchor.
func syntaxError(err error, data []byte) (line int, problem string) {
	m := yamlError.FindStringSubmatch(err.Error())
	if m == nil {
		return 0, err.Error()
	}
	line, _ = strconv.Atoi(m[1])
	if a := unknownAnchor.FindStringSubmatch(m[2]); a != nil {
		before, _, _ := bytes.Cut(data, []byte("*"+a[1]))
		line = bytes.Count(before, []byte("\n")) + 1
	}
	return line, m[2]
}

// readFile returns a file's content and mode. One byte more than the limit is
// read, so that the caller sees that there is more.
func readFile(path string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if info.IsDir() {
		return nil, 0, errors.New("is a directory")
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	return data, info.Mode(), err
}

// fileProblem says what is wrong with a file without repeating its path.
func fileProblem(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return fmt.Sprintf("cannot %s it: %v", pathErr.Op, pathErr.Err)
	}
	return err.Error()
}

func holdsCookies(cfg *Config) bool {
	for _, pw := range cfg.Pseudowires {
		if s := pw.Static; s != nil && s.LocalCookie.Len()+s.RemoteCookie.Len() > 0 {
			return true
		}
	}
	return false
}
