using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Registry.Endpoints;
using Berth.Server.Access;
using Berth.Testing.Layers;
using Berth.Testing.Registry;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>
/// Who may do what in the registry: every route by every method, with things of one tenant that are there and such that
/// are not, for who has no token, a wrong one, another tenant's, one that reads, and the tenant's own.
/// </summary>
public sealed class RegistryRouteAccessTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    private const string Foreign = "foreign";
    private const string Reader = "reader";
    private const string Holder = "holder";

    private static readonly string[] Methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"];

    private static readonly (RegistryRoute Route, string Methods, string Path, int Foreign, int Reader, int Holder)[]
        Expected =
        [
            (RegistryRoute.Base, "GET HEAD", "/v2/", 200, 200, 200),
            (RegistryRoute.Token, "GET HEAD POST", "/v2/token", 200, 200, 200),
            (RegistryRoute.Catalog, "GET HEAD", "/v2/_catalog", 200, 200, 200),
            (RegistryRoute.Tags, "GET HEAD", "/v2/NAME/tags/list", 404, 200, 200),
            (RegistryRoute.Referrers, "GET HEAD", "/v2/NAME/referrers/MANIFEST", 404, 200, 200),
            (RegistryRoute.Blob, "GET HEAD", "/v2/NAME/blobs/BLOB", 404, 200, 200),
            (RegistryRoute.Blob, "DELETE", "/v2/NAME/blobs/LOOSE", 404, 403, 202),
            (RegistryRoute.Manifest, "GET HEAD", "/v2/NAME/manifests/v1", 404, 200, 200),
            (RegistryRoute.Manifest, "PUT", "/v2/NAME/manifests/v1", 404, 403, 201),
            (RegistryRoute.Manifest, "DELETE", "/v2/NAME/manifests/v1", 404, 403, 202),
            (RegistryRoute.UploadStart, "POST", "/v2/NAME/blobs/uploads/", 404, 403, 202),
            (RegistryRoute.Upload, "GET", "/v2/NAME/blobs/uploads/UPLOAD", 404, 403, 204),
            (RegistryRoute.Upload, "PATCH", "/v2/NAME/blobs/uploads/UPLOAD", 404, 403, 202),
            (RegistryRoute.Upload, "PUT", "/v2/NAME/blobs/uploads/UPLOAD?digest=BODY", 404, 403, 201),
            (RegistryRoute.Upload, "DELETE", "/v2/NAME/blobs/uploads/UPLOAD", 404, 403, 204),
        ];

    public static IEnumerable<TheoryDataRow<int, string>> Rows => Enumerable.Range(0, Expected.Length).SelectMany(
        row => Expected[row].Methods.Split(' ').Select(method => new TheoryDataRow<int, string>(row, method)));

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private ServerRig Rig => fixture.Rig;

    [Fact]
    public async Task Every_route_and_every_method_that_it_takes_stands_in_the_table_above()
    {
        Tenant tenant = await Tenant.CreateAsync(Rig);
        foreach (RegistryRoute route in Enum.GetValues<RegistryRoute>().Where(r => r != RegistryRoute.Unknown))
        {
            string path = Expected.First(e => e.Route == route).Path;
            string[] known = [.. Expected.Where(e => e.Route == route).SelectMany(e => e.Methods.Split(' '))];
            foreach (string method in Methods.Except(known))
            {
                using HttpResponseMessage answer = await tenant.AskAsync(method, path, Holder);

                Assert.True(
                    answer.StatusCode == HttpStatusCode.MethodNotAllowed,
                    $"{method} {path} is answered with {(int)answer.StatusCode} and has no row.");
                Assert.Equal(known.Order(), answer.Content.Headers.Allow.Order());
            }
        }
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public async Task Each_route_answers_each_caller_as_the_table_says(int row, string method)
    {
        (_, _, string path, int foreign, int reader, int holder) = Expected[row];
        Tenant tenant = await Tenant.CreateAsync(Rig);
        string revoked = tenant.Revoke();

        foreach (string? secret in (string?[])[null, "", "x", "berth_" + new string('0', 77), revoked])
        {
            Assert.Equal(401, await StatusAsync(tenant, method, path, secret));
        }

        Assert.Equal(foreign, await StatusAsync(tenant, method, path, tenant.SecretOf(Foreign)));
        Assert.Equal(reader, await StatusAsync(tenant, method, path, tenant.SecretOf(Reader)));
        // Nothing of it has happened yet: what follows finds everything in its place.
        Assert.Equal(holder, await StatusAsync(tenant, method, path, tenant.SecretOf(Holder)));
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public async Task What_is_there_and_what_is_not_are_refused_alike(int row, string method)
    {
        string path = Expected[row].Path;
        Tenant tenant = await Tenant.CreateAsync(Rig);
        foreach (string? secret in (string?[])[null, "x", tenant.SecretOf(Foreign), tenant.SecretOf(Reader)])
        {
            using HttpResponseMessage there = await tenant.SendAsync(method, path, secret);
            using HttpResponseMessage absent = await tenant.SendAsync(method, path, secret, tenant.Absent);
            if (there.IsSuccessStatusCode)
            {
                continue;
            }

            Assert.Equal(there.StatusCode, absent.StatusCode);
            Assert.Equal(await WordsAsync(there, tenant.Name), await WordsAsync(absent, tenant.Absent));
        }
    }

    [Fact]
    public async Task The_catalog_names_each_caller_its_own_alone()
    {
        Tenant one = await Tenant.CreateAsync(Rig);
        Tenant other = await Tenant.CreateAsync(Rig);

        Assert.Equal([one.Name], await NamesAsync(one, Reader));
        Assert.Equal([other.Name], await NamesAsync(other, Holder));
        Assert.Empty(await NamesAsync(one, Foreign));
    }

    private static async Task<int> StatusAsync(Tenant tenant, string method, string path, string? secret)
    {
        using HttpResponseMessage answer = await tenant.SendAsync(method, path, secret);
        return (int)answer.StatusCode;
    }

    /// <summary>Body and challenge, without the name that was asked for.</summary>
    private static async Task<string> WordsAsync(HttpResponseMessage answer, string name) =>
        (answer.Headers.WwwAuthenticate + await answer.Content.ReadAsStringAsync(Stop))
            .Replace(name, "NAME", StringComparison.Ordinal);

    private static async Task<string[]> NamesAsync(Tenant tenant, string caller)
    {
        using HttpResponseMessage answer = await tenant.AskAsync("GET", "/v2/_catalog", caller);
        using JsonDocument body = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(Stop));
        return [.. body.RootElement.GetProperty("repositories").EnumerateArray().Select(r => r.GetString()!)];
    }

    /// <summary>Somebody's repository with an image and an upload under way, and tokens of robots for it.</summary>
    private sealed class Tenant
    {
        private static readonly byte[] Body = "a body"u8.ToArray();

        private readonly ServerRig rig;
        private readonly string space = "t" + Guid.CreateVersion7().ToString("N");
        private readonly Dictionary<string, string> secrets = [];
        private readonly byte[] layer;
        private byte[] manifest = [];
        private string upload = "";

        private Tenant(ServerRig rig)
        {
            this.rig = rig;
            layer = new TarBuilder().File("name", space).Build();
            secrets[Foreign] = Robot("another-" + space + "/*:pull,push,overwrite,delete").Secret;
            secrets[Reader] = Robot(space + "/*:pull").Secret;
            secrets[Holder] = Robot(space + "/*:pull,push,overwrite,delete").Secret;
        }

        public string Name => space + "/app";

        public string Absent => space + "/nothing";

        public static async Task<Tenant> CreateAsync(ServerRig rig)
        {
            Tenant tenant = new(rig);
            using HttpClient client = rig.ClientWith(tenant.SecretOf(Holder));
            tenant.manifest = await client.PushImageAsync(
                tenant.Name, "v1", Encoding.ASCII.GetString(tenant.layer));
            // One that no manifest needs, so that it can be removed.
            await client.PushBlobAsync(tenant.Name, Encoding.ASCII.GetBytes(tenant.space));
            using HttpResponseMessage begun = await client.PostAsync($"/v2/{tenant.Name}/blobs/uploads/", null, Stop);
            tenant.upload = begun.Headers.Location!.ToString().Split('/')[^1];
            return tenant;
        }

        public string SecretOf(string caller) => secrets[caller];

        /// <summary>The secret of one who had every right until now.</summary>
        public string Revoke()
        {
            Api.Access.TokenCreated former = Robot(space + "/*:pull,push,overwrite,delete");
            rig.Server.Rooms.Tokens.Revoke(former.Token.Id);
            return former.Secret;
        }

        public Task<HttpResponseMessage> AskAsync(string method, string path, string caller) =>
            SendAsync(method, path, SecretOf(caller));

        /// <param name="secret">Sent as the password; null for no credentials.</param>
        /// <param name="name">The repository; null for the one with the image.</param>
        public async Task<HttpResponseMessage> SendAsync(
            string method, string path, string? secret, string? name = null)
        {
            using HttpClient client = rig.ClientWith(null);
            using HttpRequestMessage request = new(
                new HttpMethod(method),
                path.Replace("NAME", name ?? Name, StringComparison.Ordinal)
                    .Replace("MANIFEST", Digest.Sha256(manifest).Text, StringComparison.Ordinal)
                    .Replace("BLOB", Digest.Sha256(layer).Text, StringComparison.Ordinal)
                    .Replace("LOOSE", Digest.Sha256(Encoding.ASCII.GetBytes(space)).Text, StringComparison.Ordinal)
                    .Replace("UPLOAD", upload, StringComparison.Ordinal)
                    .Replace("BODY", Digest.Sha256(Body).Text, StringComparison.Ordinal));
            if (secret is not null)
            {
                request.Headers.Authorization = new AuthenticationHeaderValue(
                    "Basic", Convert.ToBase64String(Encoding.ASCII.GetBytes("any:" + secret)));
            }

            request.Content = BodyOf(method, path, secret);
            return await client.SendAsync(request, Stop);
        }

        private HttpContent? BodyOf(string method, string path, string? secret)
        {
            if (method == "POST" && path == "/v2/token")
            {
                return new FormUrlEncodedContent(
                    new Dictionary<string, string> { ["grant_type"] = "password", ["password"] = secret ?? "" });
            }

            if (method is not ("PUT" or "PATCH"))
            {
                return null;
            }

            bool isManifest = path.Contains("/manifests/", StringComparison.Ordinal);
            ByteArrayContent body = new(isManifest ? manifest : Body);
            body.Headers.ContentType = new MediaTypeHeaderValue(
                isManifest ? MediaTypes.OciManifest : "application/octet-stream");
            return body;
        }

        private Api.Access.TokenCreated Robot(string grant) => rig.Server.Rooms.Tokens.Create(
            "r-" + Guid.CreateVersion7().ToString("N"), Role.Robot, TimeSpan.FromHours(1), [grant]);
    }
}
