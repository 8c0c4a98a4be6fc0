using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Repositories;
using Berth.Registry.Mirrors;
using Berth.Registry.Policies;
using Berth.Testing.Content;
using Xunit;

namespace Berth.Testing.Registry;

/// <summary>What repositories' policies promise, wherever they are kept.</summary>
public abstract class PolicyDocumentContract : IAsyncLifetime
{
    private static readonly CancellationToken None = CancellationToken.None;

    private PolicyStore policies = null!;

    public async ValueTask InitializeAsync() => policies = await OpenAsync();

    public virtual ValueTask DisposeAsync()
    {
        policies.Dispose();
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }

    /// <summary>Opens the policies of this test; a further call opens the same ones again.</summary>
    protected abstract Task<PolicyStore> OpenAsync();

    [Fact]
    public async Task What_was_said_is_there_when_they_are_opened_again()
    {
        RepositoryPolicy team = new(
            "team", ["v*", "release-*"], 10_000, true,
            new RetentionPolicy(3, TimeSpan.FromDays(14), ["v*"], ["build-*"]),
            Webhooks: ["https://hooks.example.org/berth"]);
        RepositoryPolicy hub = new(
            "hub", null, null, null, null, new UpstreamPolicy("https://registry.example.org", "me", "a password"));
        await policies.SetAsync(hub, None);
        await policies.SetAsync(team, None);

        await AgainAsync();

        Assert.Equivalent(new[] { hub, team }, policies.All(), strict: true);
        Assert.True(policies.IsImmutable("team/app", "v1"));
        Assert.False(policies.IsImmutable("team/app", "latest"));
        Assert.True(policies.IsAnonymous("team/app"));
        Assert.True(policies.IsMirror("hub/library/debian"));
        Assert.Equal(new RepositoryQuota("team", 10_000), Assert.Single(policies.QuotasOf("team/app")));
        Assert.Equal(3, policies.RetentionOf("team/app")!.KeepLast);
        Assert.Equal(["https://hooks.example.org/berth"], policies.WebhooksOf("team/app"));
    }

    [Fact]
    public async Task A_policy_that_says_nothing_is_none()
    {
        await policies.SetAsync(new RepositoryPolicy("team", ["v*"], null, null, null), None);
        await policies.SetAsync(new RepositoryPolicy("*", null, 5, null, null), None);

        await policies.SetAsync(new RepositoryPolicy("team", null, null, null, null), None);
        await AgainAsync();

        Assert.Equal("*", Assert.Single(policies.All()).Scope);
        Assert.Null(policies.Find("team"));
    }

    [Fact]
    public async Task What_is_decided_is_decided_on_what_is_said_now()
    {
        await policies.SetAsync(new RepositoryPolicy("team", null, 5, null, null), None);

        await policies.SetAsync("team", before => before! with { QuotaBytes = before.QuotaBytes + 2 }, None);

        Assert.Equal(7, policies.Find("team")!.QuotaBytes);
    }

    [Theory]
    [InlineData("no/Repository", 1)]
    [InlineData("team", -1)]
    public async Task What_can_not_hold_is_refused_and_nothing_is_kept(string scope, long quota)
    {
        await Assert.ThrowsAsync<BerthException>(
            () => policies.SetAsync(new RepositoryPolicy(scope, null, quota, null, null), None));
        await AgainAsync();

        Assert.Empty(policies.All());
    }

    [Fact]
    public async Task Changes_at_once_are_all_kept()
    {
        await Task.WhenAll(Enumerable.Range(0, 20).Select(i => Task.Run(
            () => policies.SetAsync(new RepositoryPolicy($"team/{i}", null, i, null, null), None))));

        await AgainAsync();

        Assert.Equal(20, policies.All().Count);
    }

    [Fact]
    public async Task Policies_from_elsewhere_are_taken_in_where_there_is_none()
    {
        using TemporaryFolder folder = new();
        using PolicyStore other = await PolicyStore.OpenAsync(folder["policies.json"], None);
        await other.SetAsync(new RepositoryPolicy("team", null, 1, null, null), None);
        await other.SetAsync(new RepositoryPolicy("demo", null, 2, null, null), None);
        await policies.SetAsync(new RepositoryPolicy("team", null, 3, null, null), None);

        Assert.Equal(1, await policies.AdoptAsync(other, None));
        await AgainAsync();

        Assert.Equal([("demo", 2L), ("team", 3L)], policies.All().Select(p => (p.Scope, p.QuotaBytes!.Value)));
    }

    private async Task AgainAsync()
    {
        policies.Dispose();
        policies = await OpenAsync();
    }
}
