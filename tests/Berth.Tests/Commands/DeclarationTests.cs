using System.Text;
using Berth.Api.Functions;
using Berth.Api.Rollouts;
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

    /// <summary>A setting that is given to deployments, triggers or rollouts later must be one of the file, too.
    /// </summary>
    [Fact]
    public void Whatever_a_deployment_can_say_a_file_can_say()
    {
        DeclarationReader reader = Read(WholeFile);
        Declaration shop = Assert.Single(reader.Functions);

        Assert.Empty(reader.Complaints);
        Assert.Empty(Unset(shop.Request));
        Assert.Empty(Unset(shop.Request.Rollout!).Except([nameof(RolloutRequest.Revision)]));
        Assert.Empty(Unset(Assert.Single(shop.Triggers).Request));
        Assert.Equal([new WarmSpan("0 8 * * 1-5", "0 18 * * *", "UTC", 3)], shop.Request.Warm!);
        Assert.Equal(["db", "key:env=KEY"], shop.Request.Secrets!);
        Assert.Equal(["header:X-Beta=1"], shop.Request.Matches!);
        Assert.Equal(("shop", "market"), (shop.Triggers[0].Request.Function, shop.Triggers[0].Request.Project));
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
        "name: a\nsecrets: [db:hunter2]",
        "f.yaml:2:11: 'secrets' must name secrets, as NAME, NAME:/run/secrets/FILE or NAME:env=VARIABLE; a value is "
        + "given to 'berth secret create', never to a file.")]
    [InlineData(
        "name: a\ntriggers: {t: {crno: x}}", "f.yaml:2:16: 'crno' is no setting of trigger 't': did you mean 'cron'?")]
    [InlineData(
        "name: a\ntriggers: {t: {cron: x}}\n---\nname: b\ntriggers: {t: {cron: x}}",
        "f.yaml:5:12: trigger 't' is declared twice: the first time at f.yaml:2:12.")]
    [InlineData(
        "name: a\ntriggers: {T: {cron: x}}",
        "f.yaml:2:12: 'T' is no name for a trigger: 1 to 63 small letters, digits and '-', a letter first, and no '-' "
        + "last.")]
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

    private const string WholeFile = """
        project: market
        name: shop
        image: demo/shop
        command: [/bin/serve]
        arguments: [-v]
        passArguments: true
        cache: 10m
        singleFlight: true
        environment: {A: "1"}
        user: "1000"
        workingDirectory: /srv
        network: none
        runtime: crun
        isolation: reused
        contract: http
        port: 80
        probe: /healthz
        concurrency: 20
        startTimeout: 10s
        timeout: 1m
        outputLimit: 1Mi
        contentType: text/plain
        labels: {a: b}
        secrets: [db, "key:env=KEY"]
        hosts: [shop.example.org]
        public: true
        traffic: {percent: 5, tag: next, matches: ["header:X-Beta=1"], sticky: true}
        resources: {memory: 64Mi, cpus: 0.5, pids: 12, disk: 1Gi}
        placement: {constraints: [zone=cellar], tolerations: [dedicated], spread: rack}
        volumes: ["pages:/srv:ro"]
        tmpfs: ["/scratch:size=1Mi"]
        limits: {running: 3, waiting: 4}
        scale:
          {min: 1, max: 5, target: 60, idle: 10m, downDelay: 1s, freeze: never,
           warm: [{start: 0 8 * * 1-5, end: 0 18 * * *, zone: UTC, min: 3}]}
        retry: {attempts: 6, failures: true, on: [signal], delay: 1s, maxDelay: 5m, maxAge: 2h}
        destinations: {success: loud, failure: quiet}
        lambda: {handler: a.b, event: http}
        rollout:
          {steps: [5], interval: 1m, minCalls: 9, successRate: 99.5, latencyP95: 1.2x, maxWait: 1h, sticky: true}
        triggers:
          nightly:
            cron: "0 3 * * *"
            zone: Europe/Berlin
            concurrency: forbid
            missed: once
            catchUp: 1h
            body: now
            contentType: text/plain
            webhook: github
            secret: hook
            header: X-Signed
            window: 1m
            events: true
            types: [a]
            sources: [b]
            volume: in
            prefix: photos/
            paused: true
        """;

    /// <summary>Members that are as a request without any has them.</summary>
    private static IEnumerable<string> Unset<T>(T request) => typeof(T).GetProperties()
        .Where(p => p.GetValue(request) is null or false).Select(p => p.Name);

    private static DeclarationReader Read(string text)
    {
        DeclarationReader reader = new(project: null);
        reader.Add("f.yaml", text);
        return reader;
    }
}
