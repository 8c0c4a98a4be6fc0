using System.Globalization;
using System.Runtime.CompilerServices;
using Berth.Api.Repositories;

namespace Berth.Api.Client;

/// <summary>The repositories of the server's registry and their policies.</summary>
public sealed class RepositoriesClient
{
    private const int PageSize = 1000;

    private readonly ApiExchange exchange;

    internal RepositoriesClient(ApiExchange exchange) => this.exchange = exchange;

    /// <summary>Page by page as they are asked for; each has all policies.</summary>
    public async IAsyncEnumerable<RepositoryPage> ListAsync(
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string? cursor = null;
        do
        {
            string query = Query.Of(("limit", PageSize.ToString(CultureInfo.InvariantCulture)), ("cursor", cursor));
            RepositoryPage page = await exchange.GetAsync(
                "v1/repositories" + query, RepositoryJson.Default.RepositoryPage, cancellationToken);
            yield return page;
            cursor = page.Next;
        }
        while (cursor is not null);
    }

    /// <param name="scope">A repository's name, or <c>*</c>.</param>
    public Task<RepositoryDetail> GetAsync(string scope, CancellationToken cancellationToken) =>
        exchange.GetAsync(PathOf(scope), RepositoryJson.Default.RepositoryDetail, cancellationToken);

    /// <summary>Replaces the policy of exactly this scope; an empty one removes it.</summary>
    public Task<RepositoryDetail> SetAsync(string scope, PolicyView policy, CancellationToken cancellationToken) =>
        exchange.PutAsync(
            PathOf(scope), policy, RepositoryJson.Default.PolicyView, RepositoryJson.Default.RepositoryDetail,
            cancellationToken);

    /// <summary>Removes all images of one repository.</summary>
    public Task RemoveAsync(string repository, CancellationToken cancellationToken) =>
        exchange.DeleteAsync(PathOf(repository), cancellationToken);

    /// <summary>Removes the tags that no retention rule keeps, or tells which they are.</summary>
    public Task<RetentionReport> RetainAsync(RetentionRequest request, CancellationToken cancellationToken) =>
        exchange.PostAsync(
            "v1/retention", request, RepositoryJson.Default.RetentionRequest, RepositoryJson.Default.RetentionReport,
            cancellationToken);

    private static string PathOf(string scope) =>
        "v1/repositories/" + string.Join('/', scope.Split('/').Select(Uri.EscapeDataString));
}
