using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>The two services of the guide's page on pictures, built as it says, with what it does not show: each
/// operation, wrong words, hostile pictures.</summary>
[Collection("server")]
public sealed class SampleTests(SampleFixture fixture) : IClassFixture<SampleFixture>
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>A red field with a blue one in its upper left quarter.</summary>
    private Task<byte[]> FieldsAsync(string format = "png") => fixture.DrawAsync(
        format, "-size", "200x100", "xc:#ff0000", "-fill", "#0000ff", "-draw", "rectangle 0,0 99,49");

    [Theory]
    [InlineData("resize,w_100", "PNG 100x50 0000FF FF0000")]
    [InlineData("resize,h_20", "PNG 40x20 0000FF FF0000")]
    [InlineData("resize,w_400", "PNG 200x100 0000FF FF0000")]
    [InlineData("resize,w_50,h_50,m_exact", "PNG 50x50 0000FF FF0000")]
    [InlineData("resize,w_50,h_50,m_fill", "PNG 50x50 0000FF FF0000")]
    [InlineData("rotate,90", "PNG 100x200 FF0000 FF0000")]
    [InlineData("rotate,270", "PNG 100x200 FF0000 FF0000")]
    [InlineData("rotate,180", "PNG 200x100 FF0000 0000FF")]
    [InlineData("flip,h/flip,v", "PNG 200x100 FF0000 0000FF")]
    [InlineData("crop,w_60,h_30", "PNG 60x30 0000FF 0000FF")]
    [InlineData("crop,w_60,h_30,x_120,y_60/resize,w_30", "PNG 30x15 FF0000 FF0000")]
    [InlineData("format,webp/quality,100", "WEBP 200x100")]
    [InlineData("format,jpg", "JPEG 200x100")]
    [InlineData("", "PNG 200x100 0000FF FF0000")]
    public async Task The_path_says_what_is_done(string path, string expected)
    {
        using HttpResponseMessage answer = await PictureAsync(path, await FieldsAsync());
        byte[] picture = await answer.Content.ReadAsByteArrayAsync(Stop);

        string size = (await fixture.LookAsync(picture)).Split(' ')[1];
        (int width, int height) = (int.Parse(size.Split('x')[0]), int.Parse(size.Split('x')[1]));
        (int, int)[] corners = expected.Count(c => c == ' ') == 3 ? [(1, 1), (width - 2, height - 2)] : [];
        Assert.Equal(expected, await fixture.LookAsync(picture, corners));
        string type = expected.Split(' ')[0];
        Assert.Equal("image/" + type, answer.Content.Headers.ContentType!.MediaType, ignoreCase: true);
    }

    [Fact]
    public async Task A_quarter_turn_is_clockwise()
    {
        using HttpResponseMessage answer = await PictureAsync("rotate,90", await FieldsAsync());

        string seen = await fixture.LookAsync(await answer.Content.ReadAsByteArrayAsync(Stop), (95, 5), (5, 195));
        Assert.Equal("PNG 100x200 0000FF FF0000", seen);
    }

    [Fact]
    public async Task A_watermark_is_where_it_was_asked_for_and_nowhere_else()
    {
        byte[] black = await fixture.DrawAsync("png", "-size", "300x200", "xc:black");
        string text = Convert.ToBase64String("Häfen"u8).TrimEnd('=').Replace('+', '-').Replace('/', '_');

        using HttpResponseMessage written = await PictureAsync($"watermark,text_{text},g_se,size_60", black);
        using HttpResponseMessage laid = await PictureAsync("watermark,image_badge,g_nw,x_0,y_0", black);

        byte[] picture = await written.Content.ReadAsByteArrayAsync(Stop);
        Assert.Equal(
            ("0", "255"),
            (await BrightestAsync(picture, "300x100+0+0"), await BrightestAsync(picture, "300x100+0+100")));
        string seen = await fixture.LookAsync(await laid.Content.ReadAsByteArrayAsync(Stop), (40, 20), (100, 60));
        Assert.Equal("PNG 300x200 FF8800 000000", seen);
    }

    [Theory]
    [InlineData("sharpen", 400, "no operation 'sharpen'")]
    [InlineData("resize", 400, "needs w_WIDTH")]
    [InlineData("resize,w_0", 400, "'0' is no number from 1 to 4096")]
    [InlineData("resize,w_4097", 400, "no number from 1 to 4096")]
    [InlineData("resize,w_1,w_2", 400, "w is given twice")]
    [InlineData("resize,w_10,m_fill", 400, "needs both")]
    [InlineData("resize,w_10;id", 400, "no number")]
    [InlineData("resize,z_10", 400, "resize does not take 'z_10': w, h, m")]
    [InlineData("rotate,-90", 400, "no number from 0 to 360")]
    [InlineData("format,svg", 400, "no format 'svg'")]
    [InlineData("watermark", 400, "watermark needs text_")]
    [InlineData("watermark,text_JyBpbWFnZSBPdmVyIDAsMCAwLDAgJy9ldGMvcGFzc3dk", 400, "watermark needs text_")]
    [InlineData("watermark,text_QC9ldGMvcGFzc3dk", 400, "watermark needs text_")]
    [InlineData("watermark,image_..%2F..%2Fetc%2Fpasswd", 400, "no")]
    [InlineData("flip,h/flip,h/flip,h/flip,h/flip,h/flip,h/flip,h/flip,h/flip,h/flip,h/flip,h", 400, "more than 10")]
    public async Task Wrong_words_are_told(string path, int status, string why)
    {
        using HttpResponseMessage answer = await PictureAsync(path, await FieldsAsync());

        string text = await answer.Content.ReadAsStringAsync(Stop);
        Assert.Contains(why, text, StringComparison.Ordinal);
        Assert.Equal(status, (int)answer.StatusCode);
    }

    [Fact]
    public async Task Hostile_pictures_are_refused_and_the_instance_goes_on()
    {
        // 64 million pixels in 9 KB; a program; half a picture; a language that draws; more than 20 MiB.
        byte[] bomb = await fixture.DrawAsync("png", "-size", "8000x8000", "xc:black", "-type", "bilevel");
        byte[] cut = (await FieldsAsync())[..60];
        byte[] script = Encoding.ASCII.GetBytes(
            "<svg xmlns='http://www.w3.org/2000/svg'><image href='/etc/passwd'/></svg>");

        Assert.Equal(
            (HttpStatusCode.RequestEntityTooLarge, HttpStatusCode.RequestEntityTooLarge,
                HttpStatusCode.UnprocessableEntity, HttpStatusCode.UnsupportedMediaType,
                HttpStatusCode.UnsupportedMediaType),
            (await StatusAsync("resize,w_10", bomb), await StatusAsync("info", bomb),
                await StatusAsync("rotate,90", cut),
                await StatusAsync("info", script), await StatusAsync("info", [])));
        Assert.Equal("413", (await fixture.Server.ShellAsync(
            "head -c 22000000 /dev/zero | curl -s -o /dev/null -w '%{http_code}' --data-binary @- "
            + "-H \"Authorization: Bearer $BERTH_TOKEN\" $BERTH_HOST/v1/functions/pictures/info")).Succeed());
        using HttpResponseMessage got = await SendAsync(HttpMethod.Get, "pictures/resize,w_1", null);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, got.StatusCode);
        Assert.Equal(HttpStatusCode.OK, await StatusAsync("resize,w_10", await FieldsAsync()));
        string instances = (await fixture.Server.BerthAsync("function", "get", "pictures")).Succeed();
        Assert.DoesNotContain("out_of_memory", instances, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("png", "")]
    [InlineData("jpeg", "?lang=eng")]
    [InlineData("tiff", "?format=text&lang=eng%2Beng")]
    public async Task Words_in_a_picture_are_recognized(string format, string query)
    {
        using HttpResponseMessage answer = await SendAsync(
            HttpMethod.Post, "ocr" + query, await SignAsync(format, "Harbour 4711"));

        Assert.Equal("Harbour 4711", (await answer.Content.ReadAsStringAsync(Stop)).Trim());
        Assert.Equal("text/plain", answer.Content.Headers.ContentType!.MediaType);
    }

    [Theory]
    [InlineData("tsv", "\t40\t")]
    [InlineData("hocr", "class='ocrx_word'")]
    [InlineData("alto", "<String")]
    [InlineData("pdf", "%PDF")]
    public async Task A_text_comes_in_the_form_that_is_asked_for(string format, string mark)
    {
        using HttpResponseMessage answer = await SendAsync(
            HttpMethod.Post, "ocr?format=" + format, await SignAsync("png", "Harbour 4711"));
        string text = await answer.Content.ReadAsStringAsync(Stop);

        Assert.Contains(mark, text, StringComparison.Ordinal);
        Assert.True(format == "pdf" || text.Contains("Harbour", StringComparison.Ordinal), text);
    }

    [Theory]
    [InlineData("ocr?lang=xyz", "there is no language 'xyz': eng")]
    [InlineData("ocr?lang=../eng", "there is no language '../eng'")]
    [InlineData("ocr?format=makebox", "there is no format 'makebox'")]
    [InlineData("ocr", "the body is no picture")]
    public async Task What_can_not_be_recognized_is_told(string address, string why)
    {
        // What is no picture would be read as names of files.
        using HttpResponseMessage answer = await SendAsync(HttpMethod.Post, address, "/etc/passwd\n"u8.ToArray());

        Assert.Equal(HttpStatusCode.BadGateway, answer.StatusCode);
        Assert.Contains(why, await answer.Content.ReadAsStringAsync(Stop), StringComparison.Ordinal);
    }

    private Task<byte[]> SignAsync(string format, string text) => fixture.DrawAsync(
        format, "-size", "500x120", "xc:white", "-font", "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
        "-pointsize", "48", "-fill", "black", "-draw", $"text 20,75 '{text}'");

    private async Task<string> BrightestAsync(byte[] picture, string part)
    {
        string file = Path.Combine(fixture.Server.Folder, Path.GetRandomFileName());
        await File.WriteAllBytesAsync(file, picture, Stop);
        byte[] pixels = (await Tool.RunAsync(
            "gm", ["convert", file, "-crop", part, "-depth", "8", "gray:-"])).Output;
        return $"{pixels.Max()}";
    }

    private async Task<HttpStatusCode> StatusAsync(string path, byte[] picture)
    {
        using HttpResponseMessage answer = await PictureAsync(path, picture);
        return answer.StatusCode;
    }

    private Task<HttpResponseMessage> PictureAsync(string path, byte[] picture) =>
        SendAsync(HttpMethod.Post, "pictures/" + path, picture);

    private Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, byte[]? body)
    {
        HttpRequestMessage request = new(method, $"{fixture.Server.Address}/v1/functions/{path}")
        {
            Content = body is null ? null : new ByteArrayContent(body),
        };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", fixture.Server.Token);
        return fixture.Server.Http.SendAsync(request, Stop);
    }
}
