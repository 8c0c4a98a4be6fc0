using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Images;
using Berth.Core.Runs;
using Xunit;

namespace Berth.Tests.Functions;

public sealed class FunctionStepTests
{
    private static readonly FunctionSpec Spec = new(
        RunSpec.For("demo/echo:1", Digest.Sha256("x"u8), RunKind.Call), PassArguments: false, 0,
        FunctionSpec.DefaultMaxWaiting);

    [Fact]
    public void A_deployment_takes_its_share_and_is_taken_back_and_forth()
    {
        Function second = Deploy(Create(), percent: 20, tag: "next");

        Function back = FunctionSteps.RollBack(second);
        Function forth = FunctionSteps.RollBack(back);

        Assert.Equal("80 % to revision 1, 20 % to revision 2", second.Traffic.ToString());
        Assert.Equal("100 % to revision 1", back.Traffic.ToString());
        Assert.Equal(2, back.Traffic.Tags["next"]);
        Assert.Equal(second.Traffic, forth.Traffic);
    }

    [Fact]
    public void Revisions_that_nobody_can_reach_go_and_others_stay()
    {
        Function function = Deploy(Create(), percent: 0, tag: "kept");
        for (int i = 0; i < 20; i++)
        {
            function = Deploy(function, percent: i < 19 ? 100 : 50);
        }

        int[] numbers = [.. function.Revisions.Select(r => r.Number)];

        Assert.Contains(2, numbers);
        Assert.DoesNotContain(3, numbers);
        Assert.Equal(Enumerable.Range(13, FunctionSteps.KeptRevisions), numbers[^FunctionSteps.KeptRevisions..]);
        Assert.All(
            function.Traffic.Shares.Concat(function.Before!.Shares), s => Assert.Contains(s.Revision, numbers));
    }

    [Fact]
    public void A_tag_is_nothing_to_go_back_from_and_there_are_not_endless_ones()
    {
        Function function = Deploy(Deploy(Create(), percent: 100), percent: 0, tag: "next");

        Function back = FunctionSteps.RollBack(function);
        BerthException refused = Assert.Throws<BerthException>(() => Enumerable.Range(0, TrafficSplit.MaxTags)
            .Aggregate(function, (f, i) => FunctionSteps.Route(f, f.Traffic.Tagged($"t{i}", 1))));

        Assert.Equal("100 % to revision 1", back.Traffic.ToString());
        Assert.Equal("33 tags are too many: a function has at most 32.", refused.Message);
    }

    [Fact]
    public void A_revision_that_is_not_there_gets_nothing()
    {
        Function function = Deploy(Create(), percent: 100);

        BerthException refused = Assert.Throws<BerthException>(() => FunctionSteps.RollBack(function, 7));
        BerthException nothing = Assert.Throws<BerthException>(() => FunctionSteps.RollBack(Create()));

        Assert.Equal(
            (ErrorCode.NotFound, "Function 'echo' has no revision 7: it has 1, 2."), (refused.Code, refused.Message));
        Assert.Equal(ErrorCode.Conflict, nothing.Code);
    }

    [Theory]
    [InlineData("a", true)]
    [InlineData("thumb-nail2", true)]
    [InlineData("", false)]
    [InlineData("Up", false)]
    [InlineData("2up", false)]
    [InlineData("up-", false)]
    [InlineData("a.b", false)]
    [InlineData("a\n", false)]
    public void A_name_is_a_label_of_a_host_name(string name, bool valid) =>
        Assert.Equal(valid, FunctionName.IsValid(name));

    private static Function Create() => FunctionSteps.Create("echo", Spec, "admin", DateTimeOffset.UnixEpoch);

    private static Function Deploy(Function function, int percent, string? tag = null) => FunctionSteps.Deploy(
        function, Spec with { MaxRunning = function.Newest.Number }, percent, tag, "admin", DateTimeOffset.UnixEpoch);
}
