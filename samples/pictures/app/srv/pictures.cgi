#!/usr/bin/perl
# A picture in the body, what to do with it in the path: /resize,w_200/rotate,90/format,webp
# Reads the path, makes one command line of GraphicsMagick out of it, and answers with what that writes.
# Whatever is wrong with the request is told in one line of text.
use strict;
use warnings;

# The library holds 8 bytes for each pixel, and up to three pictures at once.
my $most_pixels = 20_000_000;
my $most_side   = 4096;
my $most_steps  = 10;
my @limits      = (
    '-limit', 'pixels', $most_pixels, '-limit', 'width',  '20000', '-limit', 'height', '20000',
    '-limit', 'memory', '512MiB',     '-limit', 'map',    '0',     '-limit', 'disk',   '0',
    '-limit', 'threads', '1',
);
# The kernel's own, for what the library does not count: 768 MiB of addresses, 15 s of computing.
my @bounds = ('prlimit', '--as=805306368', '--cpu=15', '--core=0', '--');

my $font = '/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf';
my %type = (jpeg => 'image/jpeg', png => 'image/png', webp => 'image/webp');
my %place = (
    nw => 'NorthWest', n => 'North', ne => 'NorthEast', w => 'West', c => 'Center', e => 'East',
    sw => 'SouthWest', s => 'South', se => 'SouthEast',
);

# Each operation by its name: which parameters it takes, and what it adds to the command line.
my %operations = (
    resize => [
        [qw(w h m)],
        sub {
            my ($with) = @_;
            my ($w, $h, $mode) = (number($with, 'w', 1, $most_side), number($with, 'h', 1, $most_side), $with->{m} // 'fit');
            refuse(400, 'resize needs w_WIDTH, h_HEIGHT or both') unless $w || $h;
            my $size = ($w // '') . 'x' . ($h // '');
            return ('-resize', "$size>") if $mode eq 'fit';
            refuse(400, "resize: m_$mode needs both w_WIDTH and h_HEIGHT") unless $w && $h;
            return ('-resize', "$size!") if $mode eq 'exact';
            return ('-resize', "$size^", '-gravity', 'Center', '-extent', $size) if $mode eq 'fill';
            refuse(400, "resize: there is no mode '$mode': fit, fill, exact");
        },
    ],
    crop => [
        [qw(w h x y)],
        sub {
            my ($with) = @_;
            my ($w, $h) = (number($with, 'w', 1, 20000), number($with, 'h', 1, 20000));
            refuse(400, 'crop needs w_WIDTH and h_HEIGHT') unless $w && $h;
            return ('-crop', "${w}x$h+" . (number($with, 'x', 0, 20000) // 0) . '+'
                . (number($with, 'y', 0, 20000) // 0), '+page');
        },
    ],
    rotate => [
        [qw(value)],
        sub {
            return ('-rotate', number($_[0], 'value', 0, 360) // refuse(400, 'rotate needs degrees: rotate,90'), '+page');
        },
    ],
    flip => [
        [qw(value)],
        sub {
            my $way = $_[0]{value} // '';
            return $way eq 'h' ? '-flop' : $way eq 'v' ? '-flip' : refuse(400, 'flip is flip,h or flip,v');
        },
    ],
    watermark => [
        [qw(text image g x y size color)],
        \&watermark,
    ],
    quality => [
        [qw(value)],
        sub {
            return ('-quality', number($_[0], 'value', 1, 100) // refuse(400, 'quality needs a number: quality,80'));
        },
    ],
    format => [[qw(value)], sub { () }],
    info   => [[],          sub { () }],
);

sub watermark {
    my ($with) = @_;
    my $g = $with->{g} // 'se';
    my $gravity = $place{$g} // refuse(400, "watermark: there is no place '$g': " . join(', ', sort keys %place));
    my $at = (number($with, 'x', 0, 4096) // 10) . ',' . (number($with, 'y', 0, 4096) // 10);
    if (defined $with->{image}) {
        my ($name) = $with->{image} =~ /\A([a-z0-9-]{1,40})\z/;
        refuse(400, 'watermark: there is no picture of that name in the image of this service')
            unless defined $name && -f "/srv/overlays/$name.png";
        return ('-gravity', $gravity, '-draw', "image Over $at 0,0 '/srv/overlays/$name.png'");
    }

    my $text = decoded($with->{text} // '');
    my $check = $text;
    # The library reads the text as part of a language of its own: no quote, no %, no @ gets into it.
    refuse(400, 'watermark needs text_BASE64URL, of 1 to 100 bytes in UTF-8, letters, digits, blanks and .,:;!?()+&_=-')
        unless $text =~ /\A[A-Za-z0-9 .,:;!?()+&_=\x80-\xff-]{1,100}\z/ && utf8::decode($check);
    my $size = number($with, 'size', 6, 400) // 24;
    my ($color) = ($with->{color} // 'ffffff') =~ /\A([0-9A-Fa-f]{6})\z/;
    refuse(400, 'watermark: a color has six digits of base 16: color_ff8800') unless defined $color;
    return ('-font', $font, '-pointsize', $size, '-fill', "#$color", '-gravity', $gravity, '-draw', "text $at '$text'");
}

# Base 64 for URLs, which is uuencode with another alphabet, of lines of 45 bytes. Empty for what is none.
sub decoded {
    my ($word) = @_;
    return '' unless $word =~ /\A[A-Za-z0-9_-]+\z/;
    $word =~ tr{A-Za-z0-9\-_}{ -_};
    return join '', map { unpack 'u', chr(32 + int(length($_) * 3 / 4)) . $_ } $word =~ /(.{1,60})/gs;
}

# A parameter that is a number; undef where it is not given.
sub number {
    my ($with, $name, $least, $most) = @_;
    my $text = $with->{$name} // return undef;
    my ($number) = $text =~ /\A([0-9]{1,6})\z/;
    return $number if defined $number && $number >= $least && $number <= $most;
    refuse(400, "$with->{''}: '" . shown($text) . "' is no number from $least to $most");
}

# Answers and ends.
sub refuse {
    my ($status, $text) = @_;
    print "Status: $status\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n$text\n";
    exit 0;
}

sub shown {
    my ($text) = @_;
    $text =~ s/[^\x20-\x7e]/?/g;
    return length $text > 60 ? substr($text, 0, 60) . '...' : $text;
}

# The path as operations in their order: [name, parameters]. A parameter is NAME_VALUE; the one of rotate,90 is 'value'.
sub parse {
    my ($path) = @_;
    my @steps;
    for my $part (grep { length } split m{/}, $path) {
        my ($name, @given) = split /,/, $part;
        my $operation = $operations{$name // ''}
            // refuse(400, "There is no operation '" . shown($name // '') . "': " . join(', ', sort keys %operations));
        my %with = ('' => $name);
        for my $word (@given) {
            my ($key, $value) = $word =~ /\A([a-z]+)_(.*)\z/s ? ($1, $2) : ('value', $word);
            refuse(400, "$name does not take '" . shown($word) . "': " . (join(', ', @{ $operation->[0] }) || 'nothing'))
                unless grep { $_ eq $key } @{ $operation->[0] };
            refuse(400, "$name: $key is given twice") if exists $with{$key};
            $with{$key} = $value;
        }

        push @steps, [$name, \%with];
    }

    refuse(400, "There are more than $most_steps operations") if @steps > $most_steps;
    return @steps;
}

# The format by the first bytes: nothing else is ever read as a picture, whatever it calls itself.
sub format_of {
    my ($head) = @_;
    return 'jpeg' if $head =~ /\A\xff\xd8\xff/;
    return 'png'  if $head =~ /\A\x89PNG\r\n\x1a\n/;
    return 'webp' if $head =~ /\ARIFF....WEBP/s;
    return 'gif'  if $head =~ /\AGIF8[79]a/;
    refuse(415, 'The body is no picture that is known here: JPEG, PNG, WebP or GIF');
}

# Runs a program on files and gives the first line of what it said when it failed.
sub run {
    my ($in, $out, @command) = @_;
    open my $said, '+>', undef or die "no temporary file: $!";
    my $child = fork // die "no process: $!";
    if ($child == 0) {
        $ENV{OMP_NUM_THREADS} = 1;
        open STDIN,  '<&', $in;
        sysseek STDIN, 0, 0;
        open STDOUT, '>&', $out;
        open STDERR, '>&', $said;
        exec @bounds, @command;
        die "there is no $command[0]: $!";
    }

    waitpid $child, 0;
    return undef if $? == 0;
    refuse(422, 'The picture takes more time or memory than there is for one') if $? & 127;
    seek $said, 0, 0;
    chomp(my $first = <$said> // 'no reason was given');
    return shown($first) =~ s/\Agm [a-z]+: | \(.*|\.\z//gr;
}

# The command that tells a picture's size.
sub identify {
    my ($from) = @_;
    return ('gm', 'identify', @limits, '-format', '{"width":%w,"height":%h}', "$from:-[0]");
}

# For a picture that the library did not take.
sub refuse_picture {
    my ($why) = @_;
    refuse(413, "The picture is too large: $most_pixels pixels at most are worked on") if $why =~ /pixels/i;
    refuse(413, 'The picture is too large for all of this to be done with it') if $why =~ /limit|exhausted/i;
    refuse(422, 'The picture is damaged or cut off') if $why =~ /did not return|insufficient|unexpected end/i;
    refuse(422, "The picture can't be read: $why");
}

my $path = $ENV{PATH_INFO} // '/';
my @steps = parse($path);
my $method = $ENV{REQUEST_METHOD} // 'GET';
if ($method ne 'POST' && $method ne 'PUT') {
    refuse(@steps || $method ne 'GET' ? 405 : 200,
        "Send a picture (POST or PUT) to /OPERATION,PARAMETER_VALUE/...: " . join(', ', sort keys %operations));
}

binmode STDIN;
binmode STDOUT;
open my $in, '+>', undef or die "no temporary file: $!";
binmode $in;
while (read STDIN, my $piece, 65536) {
    print {$in} $piece or die "no room for the picture: $!";
}

$in->flush();
seek $in, 0, 0;
read $in, my $head, 16;
my $from = format_of($head // '');

open my $out, '+>', undef or die "no temporary file: $!";
binmode $out;
if (grep { $_->[0] eq 'info' } @steps) {
    my $why = run($in, $out, identify($from));
    refuse_picture($why) if defined $why;
    sysseek $out, 0, 0;
    sysread $out, my $told, 200;
    my ($first) = $told =~ /\A(\{[^}]*)\}/ or refuse(422, "The picture can't be read");
    print "Content-Type: application/json\r\n\r\n$first,\"format\":\"$from\"}\n";
    exit 0;
}

my ($to) = map { $_->[1]{value} // '' } grep { $_->[0] eq 'format' } reverse @steps;
$to //= $from eq 'gif' ? 'png' : $from;
$to = 'jpeg' if $to eq 'jpg';
refuse(400, "There is no format '" . shown($to) . "' to write: jpeg, png, webp") unless $type{$to};
my @command = ('gm', 'convert', @limits, "$from:-[0]", '-auto-orient', '+profile', '!icm,*',
    '-background', $to eq 'jpeg' ? 'white' : 'transparent');
push @command, $operations{ $_->[0] }[1]->($_->[1]) for @steps;
my $why = run($in, $out, @command, "$to:-");
# What it says of a picture that it did not even read is less than what it says when it only looks.
refuse_picture(run($in, $out, identify($from)) // $why) if defined $why;

sysseek $out, 0, 0;
print "Content-Type: $type{$to}\r\nContent-Length: ", -s $out, "\r\n\r\n";
print $_ while sysread $out, $_, 65536;
