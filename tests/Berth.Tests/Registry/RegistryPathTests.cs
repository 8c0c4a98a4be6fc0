using System.Net;
using Berth.Testing.Registry;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.Tests.Registry;

/// <summary>How addresses under /v2/ are understood.</summary>
public sealed class RegistryPathTests : IAsyncLifetime
{
    private TestRegistry registry = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => registry = await TestRegistry.StartAsync();

    public ValueTask DisposeAsync() => registry.DisposeAsync();

    [Theory]
    [InlineData("/v2/")]
    [InlineData("/v2")]
    public async Task The_base_says_that_this_is_a_registry(string path)
    {
        using HttpResponseMessage response = await registry.Client.GetAsync(path, Stop);

        await ExpectAsync(HttpStatusCode.OK, response);
        Assert.Equal("registry/2.0", response.Header("Docker-Distribution-Api-Version"));
    }

    [Theory]
    [InlineData("a")]
    [InlineData("a/b/c/d/e")]
    [InlineData("a/blobs/uploads/x")]
    [InlineData("manifests/tags/list")]
    [InlineData("a.b/c__d/e-f")]
    public async Task A_repository_may_have_any_depth_and_words_of_the_protocol_in_its_name(string repository)
    {
        byte[] manifest = await registry.Client.PushImageAsync(repository, "v1", "layer of " + repository);

        Assert.Equal(
            manifest, await registry.Client.GetByteArrayAsync($"/v2/{repository}/manifests/v1", Stop));
    }

    [Theory]
    [InlineData("/v2/UPPER/manifests/v1", "NAME_INVALID")]
    [InlineData("/v2/a/_tags/manifests/v1", "NAME_INVALID")]
    [InlineData("/v2/a%2F..%2Fb/manifests/v1", "NAME_INVALID")]
    [InlineData("/v2/a//b/manifests/v1", "NAME_INVALID")]
    [InlineData("/v2/a/blobs/sha256:12", "DIGEST_INVALID")]
    public async Task A_name_or_digest_that_is_none_is_refused(string path, string code)
    {
        using HttpResponseMessage response = await registry.Client.GetAsync(path, Stop);

        await ExpectErrorAsync(HttpStatusCode.BadRequest, code, response);
    }

    [Theory]
    [InlineData("/v2/nothing")]
    [InlineData("/v2/a/b/c")]
    public async Task An_address_without_a_meaning_is_not_found(string path)
    {
        using HttpResponseMessage response = await registry.Client.GetAsync(path, Stop);

        await ExpectErrorAsync(HttpStatusCode.NotFound, "NAME_UNKNOWN", response);
    }

    [Theory]
    [InlineData("/v2/a/tags/list")]
    [InlineData("/v2/a/manifests/v1")]
    [InlineData("/v2/_catalog")]
    [InlineData("/v2/a/blobs/uploads/0123")]
    public async Task A_method_that_has_no_meaning_names_those_that_have(string path)
    {
        using HttpResponseMessage response = await registry.Client.PostAsync(path, null, Stop);

        await ExpectErrorAsync(HttpStatusCode.MethodNotAllowed, "UNSUPPORTED", response);
        Assert.Contains("GET", response.Header("Allow"), StringComparison.Ordinal);
    }
}
