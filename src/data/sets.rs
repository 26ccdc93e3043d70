//! The sets with a name, one entry each: an image, the classes, the sizes, and the digests and places of their files.

use super::colour_digits;
use super::digits::{self, SIDE};
use super::idx::{IdxFile, Items};
use super::named::{Comes, Download, Drawn, SentFiles, Set};
use super::sent::{Archive, Gzipped};

/// The synthetic sets are one set each, like MNIST: trials differ in their own seeds.
pub const SYNTHETIC_SEED: u64 = 0;

const DIGITS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// MNIST's four files under the digests of another set's gzipped ones.
const fn gzipped(of: &'static str, md5: [&'static str; 4]) -> [Gzipped; 4] {
    const fn file(name: &'static str, items: Items, count: usize) -> IdxFile {
        IdxFile { name, items, count, sha256: "" }
    }
    let [images, labels, test_images, test_labels] = md5;
    [
        Gzipped { file: file("train-images-idx3-ubyte", Items::Images, 60_000), of, md5: images },
        Gzipped { file: file("train-labels-idx1-ubyte", Items::Labels, 60_000), of, md5: labels },
        Gzipped { file: file("t10k-images-idx3-ubyte", Items::Images, 10_000), of, md5: test_images },
        Gzipped { file: file("t10k-labels-idx1-ubyte", Items::Labels, 10_000), of, md5: test_labels },
    ]
}

// MD5 sums of the gzipped files as torchvision has them (0.26, datasets/mnist.py).
static FASHION_MNIST: [Gzipped; 4] = gzipped(
    "Fashion-MNIST",
    [
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ],
);
static KMNIST: [Gzipped; 4] = gzipped(
    "KMNIST",
    [
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ],
);
/// MNIST's own gzipped files, to tell another set's folder by.
pub(super) const MNIST_SENT: [&str; 4] = [
    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "d53e105ee54ea40749a09fcbcd1e9432",
    "9fb629c4189551a2d022fa330f9573f3",
    "ec29112dd5afa0611ce80d1b7f02629c",
];

// MD5 sums of the binary archives as https://www.cs.toronto.edu/~kriz/cifar.html states them.
static CIFAR_10: [Archive; 1] = [Archive {
    name: "cifar-10-binary.tar.gz",
    of: "CIFAR-10",
    md5: "c32a1d4ab5d03f1284b67883e8d87530",
    limit: 200 << 20,
    files: &[
        ("batches.meta.txt", 0),
        ("data_batch_1.bin", 30_730_000),
        ("data_batch_2.bin", 30_730_000),
        ("data_batch_3.bin", 30_730_000),
        ("data_batch_4.bin", 30_730_000),
        ("data_batch_5.bin", 30_730_000),
        ("test_batch.bin", 30_730_000),
    ],
}];
static CIFAR_100: [Archive; 1] = [Archive {
    name: "cifar-100-binary.tar.gz",
    of: "CIFAR-100",
    md5: "03b5dce01913d631647c71ecec9e9cb8",
    limit: 200 << 20,
    files: &[("fine_label_names.txt", 0), ("train.bin", 153_700_000), ("test.bin", 30_740_000)],
}];

/// All of them, in the order of a list.
pub static SETS: [Set; 7] = [
    Set {
        name: "mnist",
        title: "MNIST",
        one: "digit",
        input: [1, SIDE as i64, SIDE as i64],
        class_names: DIGITS,
        classes: 10,
        sizes: [60_000, 10_000],
        published: Some([&[0.1307], &[0.3081]]),
        stands_in_for: None,
        about: "handwritten digits (LeCun, Cortes and Burges 1998), 11 MB",
        comes: Comes::Mnist,
    },
    Set {
        name: "fashion-mnist",
        title: "Fashion-MNIST",
        one: "class",
        input: [1, 28, 28],
        class_names: &[
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ],
        classes: 10,
        sizes: [60_000, 10_000],
        published: None,
        stands_in_for: None,
        about: "articles of clothing (Xiao, Rasul and Vollgraf 2017), 30 MB",
        comes: Comes::Files(Download {
            sent: SentFiles::Idx(&FASHION_MNIST),
            mirrors: &[
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            ],
            below: &["fashion-mnist", "FashionMNIST/raw", "raw"],
        }),
    },
    Set {
        name: "kmnist",
        title: "KMNIST",
        one: "class",
        input: [1, 28, 28],
        class_names: &["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
        classes: 10,
        sizes: [60_000, 10_000],
        published: None,
        stands_in_for: None,
        about: "cursive Japanese characters (Clanuwat et al. 2018), 21 MB",
        comes: Comes::Files(Download {
            sent: SentFiles::Idx(&KMNIST),
            mirrors: &["https://codh.rois.ac.jp/kmnist/dataset/kmnist/"],
            below: &["kmnist", "KMNIST/raw", "raw"],
        }),
    },
    Set {
        name: "cifar-10",
        title: "CIFAR-10",
        one: "class",
        input: [3, 32, 32],
        class_names: &["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
        classes: 10,
        sizes: [50_000, 10_000],
        published: None,
        stands_in_for: None,
        about: "small colour photographs in 10 classes (Krizhevsky 2009), 170 MB",
        comes: Comes::Files(Download {
            sent: SentFiles::Archive(&CIFAR_10),
            mirrors: &["https://www.cs.toronto.edu/~kriz/"],
            below: &["cifar-10", "cifar-10-batches-bin"],
        }),
    },
    Set {
        name: "cifar-100",
        title: "CIFAR-100",
        one: "class",
        input: [3, 32, 32],
        class_names: &[],
        classes: 100,
        sizes: [50_000, 10_000],
        published: None,
        stands_in_for: None,
        about: "small colour photographs in 100 classes (Krizhevsky 2009), 169 MB",
        comes: Comes::Files(Download {
            sent: SentFiles::Archive(&CIFAR_100),
            mirrors: &["https://www.cs.toronto.edu/~kriz/"],
            below: &["cifar-100", "cifar-100-binary"],
        }),
    },
    Set {
        name: "synthetic",
        title: "synthetic digits",
        one: "digit",
        input: [1, SIDE as i64, SIDE as i64],
        class_names: DIGITS,
        classes: 10,
        sizes: [60_000, 10_000],
        // The digits are close to MNIST's.
        published: Some([&[0.1307], &[0.3081]]),
        stands_in_for: Some("MNIST"),
        about: "grey digits that hw1 draws itself",
        comes: Comes::Drawn(
            |split, count| digits::generate(SYNTHETIC_SEED, split, count),
            Drawn { called: "synthetic digits", version: digits::VERSION },
        ),
    },
    Set {
        name: "synthetic-rgb",
        title: "synthetic colour digits",
        one: "digit",
        input: [3, colour_digits::SIDE as i64, colour_digits::SIDE as i64],
        class_names: DIGITS,
        classes: 10,
        sizes: [60_000, 10_000],
        published: Some([&colour_digits::MEAN, &colour_digits::STANDARD_DEVIATION]),
        stands_in_for: Some("CIFAR-10"),
        about: "digits on coloured ground that hw1 draws itself, in CIFAR's shape",
        comes: Comes::Drawn(
            |split, count| colour_digits::generate(SYNTHETIC_SEED, split, count),
            Drawn { called: "synthetic colour digits", version: colour_digits::VERSION },
        ),
    },
];
