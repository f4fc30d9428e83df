// Command tarlist prints what Go's archive/tar reads in each archive named as an argument: one JSON line per member,
// then one line that says how the archive ended. It is the oracle of tests/tar_differential.rs.
package main

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"runtime"
)

// contentLimit is how many bytes of a member's logical content are hashed. Holes are unbounded.
const contentLimit = 1 << 20

type member struct {
	Name     string `json:"name"` // hexadecimal: names are bytes
	Link     string `json:"link"` // hexadecimal
	Typeflag byte   `json:"typeflag"`
	Size     int64  `json:"size"`
	Mode     int64  `json:"mode"`
	UID      int64  `json:"uid"`
	GID      int64  `json:"gid"`
	Mtime    int64  `json:"mtime"`
	Major    int64  `json:"major"`
	Minor    int64  `json:"minor"`
	Content  string `json:"content"` // SHA-256 of the first contentLimit bytes
	Error    string `json:"error,omitempty"`
}

type end struct {
	End   bool   `json:"end"`
	Error string `json:"error,omitempty"`
	Go    string `json:"go"`
}

func main() {
	log.SetFlags(0)
	out := bufio.NewWriter(os.Stdout)
	lines := json.NewEncoder(out)
	for _, path := range os.Args[1:] {
		if err := list(path, lines); err != nil {
			log.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}

func list(path string, lines *json.Encoder) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	// A plain reader: on a file, the package would seek over bodies.
	archive := tar.NewReader(struct{ io.Reader }{bufio.NewReader(file)})
	for {
		header, err := archive.Next()
		if err != nil {
			last := end{End: true, Go: runtime.Version()}
			if !errors.Is(err, io.EOF) {
				last.Error = err.Error()
			}
			return lines.Encode(last)
		}
		hash := sha256.New()
		_, err = io.CopyN(hash, archive, contentLimit)
		line := member{
			Name:     hex.EncodeToString([]byte(header.Name)),
			Link:     hex.EncodeToString([]byte(header.Linkname)),
			Typeflag: header.Typeflag,
			Size:     header.Size,
			Mode:     header.Mode,
			UID:      int64(header.Uid),
			GID:      int64(header.Gid),
			Mtime:    header.ModTime.Unix(),
			Major:    header.Devmajor,
			Minor:    header.Devminor,
			Content:  hex.EncodeToString(hash.Sum(nil)),
		}
		if err != nil && !errors.Is(err, io.EOF) {
			line.Error = err.Error()
		}
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
}
