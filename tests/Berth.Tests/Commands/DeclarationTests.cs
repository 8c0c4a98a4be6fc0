using System.Text;
using Berth.Commands.Declarations;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace Berth.Tests.Commands;

/// <summary>Files that say what functions there are to be.</summary>
public sealed class DeclarationTests
{
    [Fact]
    public void Every_setting_of_a_file_is_one_of_the_interface()
    {
        Declaration shop = Assert.Single(Read("""
            project: market
            functions:
              shop:
                image: demo/shop
                command: [/bin/serve, -v]
                environment: {A: "1", B: yes, C: }
                resources: {memory: 64Mi, cpus: 0.5, pids: 12, disk: 1Gi}
                limits: {running: 3, waiting: 4}
                scale: {min: 1, max: 5, target: 60, idle: 10m, downDelay: 1s}
                retry: {attempts: 6, failures: true, on: [exit=75, signal], delay: 1s, maxDelay: 5m, maxAge: 2h}
                destinations: {success: loud, failure: "https://example.org/x"}
                lambda: {handler: a.b, event: http}
                rollout: {steps: [5, 50], interval: 1m, minCalls: 9, successRate: 99.5, latencyP95: 1.2x, maxWait: 1h}
            """).Functions);

        Assert.Equal(("shop", "market", "demo/shop"), (shop.Name, shop.Project, shop.Request.Image));
        Assert.Equal(["/bin/serve", "-v"], shop.Request.Command!);
        Assert.Equal(["1", "yes", ""], shop.Request.Environment!.Values);
        Assert.Equal(
            ("64Mi", "0.5", 12, "1Gi"),
            (shop.Request.Memory, shop.Request.Cpus, shop.Request.Pids, shop.Request.Disk));
        Assert.Equal((3, 4), (shop.Request.MaxRunning, shop.Request.MaxWaiting));
        Assert.Equal(
            (1, 5, 60, "10m", "1s"),
            (shop.Request.MinInstances, shop.Request.MaxInstances, shop.Request.Target, shop.Request.Idle,
                shop.Request.ScaleDownDelay));
        Assert.Equal(
            (6, true, "exit=75,signal", "1s", "5m", "2h"),
            (shop.Request.Attempts, shop.Request.RetryFailures, shop.Request.RetryOn, shop.Request.RetryDelay,
                shop.Request.RetryMaxDelay, shop.Request.MaxAge));
        Assert.Equal(
            ("loud", "https://example.org/x", "a.b", "http"),
            (shop.Request.OnSuccess, shop.Request.OnFailure, shop.Request.Handler, shop.Request.Event));
        Assert.Equal([5, 50], shop.Request.Rollout!.Steps!);
        Assert.Equal(
            ("1m", 9, 99.5, "1.2x", "1h"),
            (shop.Request.Rollout.Interval, shop.Request.Rollout.MinCalls, shop.Request.Rollout.SuccessRate,
                shop.Request.Rollout.LatencyP95, shop.Request.Rollout.MaxWait));
        Assert.Equal("f.yaml:7:37", shop.PlaceOf("cpus = '0.5' can't be used: x").ToString());
        Assert.Equal("f.yaml:3:3", shop.PlaceOf("What is said of nothing").ToString());
    }

    [Fact]
    public void Several_documents_and_json_are_read_and_a_part_can_be_used_twice()
    {
        DeclarationReader reader = Read("""
            name: one
            image: demo/a
            resources: &small {memory: 32Mi}
            ---
            functions:
              two: &two {image: demo/b, resources: {memory: 64Mi}}
              three: {<<: *two, image: demo/c}
            ---
            {"name": "four", "image": "demo\/d", "port": 80}
            """);

        Assert.Empty(reader.Complaints);
        Assert.Equal(
            ["one demo/a 32Mi", "two demo/b 64Mi", "three demo/c 64Mi", "four demo/d "],
            reader.Functions.Select(f => $"{f.Name} {f.Request.Image} {f.Request.Memory}"));
    }

    [Theory]
    [InlineData("name: a\nimgae: x", "f.yaml:2:1: 'imgae' is no setting of function 'a': did you mean 'image'?")]
    [InlineData("name: a\nscale: {mni: 1}", "f.yaml:2:9: 'mni' is no setting of 'scale': did you mean 'min'?")]
    [InlineData("name: a\nport: x", "f.yaml:2:7: 'port' = 'x' must be a whole number.")]
    [InlineData("name: a\ncommand: x", "f.yaml:2:10: 'command' must be a list of single values, for instance [a, b].")]
    [InlineData("name: a\nimage: [x]", "f.yaml:2:8: 'image' is a list, and must be a single value.")]
    [InlineData("name: a\nimage: x\nimage: y", "f.yaml:3:1: 'image' is given twice.")]
    [InlineData("name: a\n---\nname: a", "f.yaml:3:7: function 'a' is declared twice: the first time at f.yaml:1:7.")]
    [InlineData(
        "name: a\nsecrets: x", "f.yaml:2:1: 'secrets' is a reserved name, and can't be set by a file in this version.")]
    [InlineData(
        "image: x",
        "f.yaml:1:1: there is neither 'name' of a function nor 'functions', with a group for each, here.")]
    [InlineData("a: b: c", "f.yaml:1:5: this is no YAML: while scanning a plain scalar value, found invalid mapping.")]
    [InlineData("a: *b", "f.yaml:1:4: nothing is named '&b' before this.")]
    [InlineData("a: &b [*b]", "f.yaml:1:8: '*b' stands within what it names.")]
    [InlineData("a: !!int 3", "f.yaml:1:4: the tag 'tag:yaml.org,2002:int' can't be used: write the value alone.")]
    [InlineData("- a", "f.yaml:1:1: this document is a list, and must be a group of settings.")]
    public void What_is_wrong_is_told_with_its_place(string text, string complaint) =>
        Assert.Equal(complaint, Assert.Single(Read(text).Complaints).ToString());

    [Fact]
    public void A_small_file_that_stands_for_a_large_one_is_refused()
    {
        StringBuilder bomb = new("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for (int i = 1; i < 10; i++)
        {
            bomb.Append($"a{i}: &a{i} [{string.Join(", ", Enumerable.Repeat($"*a{i - 1}", 10))}]\n");
        }

        string deep = new string('[', YamlReader.MaxDepth + 2) + new string(']', YamlReader.MaxDepth + 2);

        Assert.Contains(
            "more than 20,000 values", Read(bomb.ToString()).Complaints.Single().Text, StringComparison.Ordinal);
        Assert.Contains("more than 32 deep", Read(deep).Complaints.Single().Text, StringComparison.Ordinal);
        Assert.Contains(
            "at most 1,048,576 are read", Read(new string(' ', YamlReader.MaxLength + 1)).Complaints.Single().Text,
            StringComparison.Ordinal);
        Assert.Empty(Read(new string(' ', YamlReader.MaxLength)).Complaints);
    }

    /// <summary>Whatever stands in a file, it is read or complained about.</summary>
    [Fact]
    public void No_text_is_more_than_a_complaint() => Check.QuickThrowOnFailure(Prop.ForAll(
        Gen.Elements(
                "name: a\n", "functions:\n", "  b: ", "{", "}", "[", "]", "&x ", "*x", "<<: ", "- ", ": ", "\t", "\n",
                "'", "\"", "|\n", "image: c\n", "---\n", "!t ", "# ", "? ",
                "scale: {min: 1}\n", "\0", "é", "%YAML 1.1\n")
            .ListOf().ToArbitrary(),
        words =>
        {
            DeclarationReader reader = Read(string.Concat(words));
            return reader.Functions.Count >= 0 && reader.Complaints.All(c => c.Text.Length > 0);
        }));

    private static DeclarationReader Read(string text)
    {
        DeclarationReader reader = new(project: null);
        reader.Add("f.yaml", text);
        return reader;
    }
}
