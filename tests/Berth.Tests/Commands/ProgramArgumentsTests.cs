using Berth.Commands;
using Berth.Commands.Terminals;
using Xunit;

namespace Berth.Tests.Commands;

public sealed class ProgramArgumentsTests
{
    [Theory]
    [InlineData("run demo/a --size 3 -v", "run demo/a -- --size 3 -v")]
    [InlineData("run -e A=1 --memory 5Mi demo/a -x", "run -e A=1 --memory 5Mi demo/a -- -x")]
    [InlineData("run --memory=5Mi -i demo/a", "run --memory=5Mi -i demo/a --")]
    [InlineData("-v --host h run -q demo/a b", "-v --host h run -q demo/a -- b")]
    [InlineData("task submit --attempts 2 demo/a -n", "task submit --attempts 2 demo/a -- -n")]
    [InlineData("run -- demo/a -x", "run -- demo/a -x")]
    [InlineData("task get -o json abc", "task get -o json abc")]
    [InlineData("run --help", "run --help")]
    public void Everything_behind_the_image_belongs_to_the_program(string typed, string expected)
    {
        using CommandHarness harness = new();
        BerthRoot root = CommandTreeTests.NewRoot();

        Assert.Equal(expected, string.Join(' ', ProgramArguments.Protect(root, typed.Split(' '))));
    }

    [Theory]
    [InlineData("imgae", "image")]
    [InlineData("tas", "task")]
    [InlineData("log", "logs")]
    [InlineData("frobnicate", null)]
    public void Slips_of_the_keyboard_are_understood(string typed, string? expected) =>
        Assert.Equal(expected, Spelling.Nearest(typed, ["image", "task", "logs", "run"]));

    [Theory]
    [InlineData(0, null, "reading")]
    [InlineData(1536, null, "reading                            1.5 KiB")]
    [InlineData(50, 100L, "reading                            [============            ] 50 B of 100 B")]
    public void Progress_is_one_line(long done, long? total, string expected) =>
        Assert.Equal(expected, ProgressLine.LineOf("reading", done, total));
}
